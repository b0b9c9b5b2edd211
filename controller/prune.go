package controller

import (
	"context"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/observation"
)

// pruneShards deletes the objects of the shards of a KSMScale, except the partitions to keep.
func (r *Reconciler) pruneShards(ctx context.Context, ksmScale *v1alpha1.KSMScale, keep sets.Set[int32]) error {
	keepPartition := func(object client.Object) bool {
		total, ok := v1alpha1.PartitionOf(object.GetLabels())
		return ok && keep.Has(total)
	}
	// HorizontalPodAutoscalers go first, because they need their Deployments.
	return errors.Join(
		r.pruneKind(ctx, ksmScale, &autoscalingv2.HorizontalPodAutoscalerList{}, keepPartition),
		r.pruneKind(ctx, ksmScale, &appsv1.DeploymentList{}, keepPartition),
		r.pruneKind(ctx, ksmScale, &corev1.ServiceList{}, keepPartition),
		r.pruneKind(ctx, ksmScale, &policyv1.PodDisruptionBudgetList{}, keepPartition))
}

// pruneAutoscalers deletes the HorizontalPodAutoscalers of a KSMScale, unless its mode uses them.
func (r *Reconciler) pruneAutoscalers(ctx context.Context, ksmScale *v1alpha1.KSMScale) error {
	if ksmScale.Spec.AutoscalingMode() == v1alpha1.ModeHorizontalPodAutoscaler {
		return nil
	}
	return r.pruneKind(ctx, ksmScale, &autoscalingv2.HorizontalPodAutoscalerList{}, func(client.Object) bool { return false })
}

// pruneBindings deletes the ClusterRoleBindings of a KSMScale, except the names to keep.
func (r *Reconciler) pruneBindings(ctx context.Context, ksmScale *v1alpha1.KSMScale, keep sets.Set[string]) error {
	return r.pruneKind(ctx, ksmScale, &rbacv1.ClusterRoleBindingList{}, func(binding client.Object) bool {
		return keep.Has(binding.GetName())
	})
}

// pruneKind deletes the objects of one kind that a KSMScale owns, except the objects to keep.
func (r *Reconciler) pruneKind(ctx context.Context, ksmScale *v1alpha1.KSMScale, list client.ObjectList, keep func(client.Object) bool) error {
	if err := r.Client.List(ctx, list, observation.OfKSMScale(ksmScale.Name)); err != nil {
		return fmt.Errorf("list objects of KSMScale %s: %w", ksmScale.Name, err)
	}
	return meta.EachListItem(list, func(item runtime.Object) error {
		object, ok := item.(client.Object)
		if !ok || keep(object) || !observation.IsOwnedBy(object, ksmScale) || object.GetDeletionTimestamp() != nil {
			return nil
		}
		precondition := client.Preconditions{UID: new(object.GetUID())}
		if err := r.Client.Delete(ctx, object, precondition, client.PropagationPolicy(metav1.DeletePropagationBackground)); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete %T %s: %w", object, object.GetName(), err)
		}
		return nil
	})
}
