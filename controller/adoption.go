package controller

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/controller/observation"
)

// adopt makes a KSMScale the owner of a Deployment that is an orphan, and leaves the rest of it as it is.
func adopt(ctx context.Context, a applier, deployment *appsv1.Deployment) error {
	if !observation.IsOrphan(deployment, a.owner) {
		return nil
	}
	adopted := deployment.DeepCopy()
	adopted.OwnerReferences = []metav1.OwnerReference{*objects.As[metav1.OwnerReference](objects.OwnerReference(a.owner))}
	patch := client.MergeFromWithOptions(deployment, client.MergeFromWithOptimisticLock{})
	if err := a.Client.Patch(ctx, adopted, patch, client.FieldOwner(objects.FieldOwner)); err != nil {
		return fmt.Errorf("adopt Deployment %s: %w", deployment.Name, err)
	}
	return nil
}
