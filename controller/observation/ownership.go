package observation

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objects"
)

// IsOwnedBy reports whether a KSMScale owns an object or is about to adopt it.
func IsOwnedBy(object client.Object, ksmScale *v1alpha1.KSMScale) bool {
	return metav1.IsControlledBy(object, ksmScale) || IsOrphan(object, ksmScale)
}

// isOwnedByAny reports whether an object belongs to one of some KSMScales, or is an orphan. An orphan belongs to no KSMScale until its
// KSMScale is created again.
func isOwnedByAny(object client.Object, ksmScales []v1alpha1.KSMScale) bool {
	return isOrphan(object) || slices.ContainsFunc(ksmScales, func(ksmScale v1alpha1.KSMScale) bool { return metav1.IsControlledBy(object, &ksmScale) })
}

// IsOrphan reports whether the controller applied an object for a KSMScale of this name and the object has no owner now. This happens
// after `kubectl delete --cascade=orphan` or a restore without owner references. The controller adopts such an object. It never adopts
// an object that has another owner or only has our labels.
func IsOrphan(object client.Object, ksmScale *v1alpha1.KSMScale) bool {
	inNamespace := object.GetNamespace() == "" || object.GetNamespace() == ksmScale.Spec.Namespace
	return inNamespace && isOrphan(object) && object.GetLabels()[v1alpha1.LabelKSMScale] == ksmScale.Name
}

// isOrphan reports whether the controller applied an object for some KSMScale and the object has no owner now.
func isOrphan(object client.Object) bool {
	return len(object.GetOwnerReferences()) == 0 && object.GetLabels()[v1alpha1.LabelKSMScale] != "" && appliedEntry(object) != nil
}

// AppliedAt returns when the controller last applied a change of an object, in whole seconds by the clock of the API server. It returns the
// zero time if the controller never did.
func AppliedAt(object client.Object) time.Time {
	if entry := appliedEntry(object); entry != nil && entry.Time != nil {
		return entry.Time.Time
	}
	return time.Time{}
}

// appliedEntry returns the managed fields of an object that the controller applied, or nil.
func appliedEntry(object client.Object) *metav1.ManagedFieldsEntry {
	for _, entry := range object.GetManagedFields() {
		if entry.Manager == objects.FieldOwner && entry.Operation == metav1.ManagedFieldsOperationApply && entry.Subresource == "" {
			return &entry
		}
	}
	return nil
}
