package observation

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objects"
)

// IsOwnedBy reports whether a KSMScale owns an object, or is about to.
func IsOwnedBy(object client.Object, ksmScale *v1alpha1.KSMScale) bool {
	return metav1.IsControlledBy(object, ksmScale) || IsOrphan(object, ksmScale)
}

// IsOrphan reports whether the controller applied an object for a KSMScale of this name and nobody owns it, as after
// `kubectl delete --cascade=orphan` or a restore from a backup without owner references. Such an object is adopted. An object with
// any other owner never is, nor one that only has our labels.
func IsOrphan(object client.Object, ksmScale *v1alpha1.KSMScale) bool {
	inNamespace := object.GetNamespace() == "" || object.GetNamespace() == ksmScale.Spec.Namespace
	return inNamespace && len(object.GetOwnerReferences()) == 0 &&
		object.GetLabels()[v1alpha1.LabelKSMScale] == ksmScale.Name && appliedEntry(object) != nil
}

// AppliedAt is when the controller last changed what it wants of an object, by the clock of the API server, in whole seconds; the
// zero time if it never did.
func AppliedAt(object client.Object) time.Time {
	if entry := appliedEntry(object); entry != nil && entry.Time != nil {
		return entry.Time.Time
	}
	return time.Time{}
}

// appliedEntry has the fields of an object that the controller applied; nil if it never did.
func appliedEntry(object client.Object) *metav1.ManagedFieldsEntry {
	for _, entry := range object.GetManagedFields() {
		if entry.Manager == objects.FieldOwner && entry.Operation == metav1.ManagedFieldsOperationApply && entry.Subresource == "" {
			return &entry
		}
	}
	return nil
}
