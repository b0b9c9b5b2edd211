package controller

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
)

// isOurs reports whether a KSMScale owns an object, or is about to.
func isOurs(object client.Object, ksmScale *v1alpha1.KSMScale) bool {
	return metav1.IsControlledBy(object, ksmScale) || isOrphan(object, ksmScale)
}

// isOrphan reports whether the controller applied an object for a KSMScale of this name and nobody owns it, as after
// `kubectl delete --cascade=orphan` or a restore from a backup without owner references. Such an object is adopted. An object with
// any other owner never is, nor one that only has our labels.
func isOrphan(object client.Object, ksmScale *v1alpha1.KSMScale) bool {
	inNamespace := object.GetNamespace() == "" || object.GetNamespace() == ksmScale.Spec.Namespace
	return inNamespace && len(object.GetOwnerReferences()) == 0 &&
		object.GetLabels()[v1alpha1.LabelKSMScale] == ksmScale.Name && appliedEntry(object) != nil
}

// adopt makes a KSMScale the owner of a Deployment that is an orphan, and leaves the rest of it as it is.
func adopt(ctx context.Context, a applier, deployment *appsv1.Deployment) error {
	if !isOrphan(deployment, a.owner) {
		return nil
	}
	adopted := deployment.DeepCopy()
	adopted.OwnerReferences = []metav1.OwnerReference{*as[metav1.OwnerReference](owner(a.owner))}
	patch := client.MergeFromWithOptions(deployment, client.MergeFromWithOptimisticLock{})
	if err := a.Client.Patch(ctx, adopted, patch, client.FieldOwner(FieldOwner)); err != nil {
		return fmt.Errorf("adopt Deployment %s: %w", deployment.Name, err)
	}
	return nil
}
