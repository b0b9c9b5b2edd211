package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
)

// manyPrefix is how the names of all KSMScales but the first begin.
const manyPrefix = "many-"

// createdObjects are copies of the objects that the controller has created for KSMScales, as a user would create them: without what the API
// server and controllers have added.
func (b *bench) createdObjects(ctx context.Context) (copies []client.Object, err error) {
	for _, list := range []client.ObjectList{
		&corev1.ServiceAccountList{}, &appsv1.DeploymentList{}, &corev1.ServiceList{}, &autoscalingv2.HorizontalPodAutoscalerList{}, &policyv1.PodDisruptionBudgetList{},
	} {
		if err := b.client.List(ctx, list, client.InNamespace(namespace)); err != nil {
			return nil, err
		}
		if err := meta.EachListItem(list, func(item runtime.Object) error {
			object, ok := item.(client.Object)
			if !ok {
				return fmt.Errorf("%T is no object", item)
			}
			if !strings.HasPrefix(object.GetName(), v1alpha1.ServiceAccountName(manyPrefix)) {
				return nil
			}
			object.SetUID("")
			object.SetResourceVersion("")
			object.SetOwnerReferences(nil)
			object.SetManagedFields(nil)
			object.SetFinalizers(nil)
			// Without these labels, the controller takes no notice of the object. Pods have the labels of their template.
			object.SetLabels(nil)
			if service, ok := object.(*corev1.Service); ok {
				service.Spec.ClusterIP, service.Spec.ClusterIPs = "", nil
			}
			copies = append(copies, object)
			return nil
		}); err != nil {
			return nil, err
		}
	}
	return copies, nil
}

// measureAlone creates the objects that the controller would create for some KSMScales, without it. It measures the time until all pods are
// available, and deletes the objects again.
func (b *bench) measureAlone(ctx context.Context, ksmScales int, objects []client.Object) (made creation, err error) {
	if made.before, err = b.costs(ctx); err != nil {
		return made, err
	}
	started := time.Now()
	if err := inParallel(ctx, len(objects), func(ctx context.Context, i int) error { return b.client.Create(ctx, objects[i]) }); err != nil {
		return made, err
	}
	if err := wait.PollUntilContextTimeout(ctx, pollInterval(ksmScales), readyTimeout, true, func(ctx context.Context) (bool, error) {
		var list appsv1.DeploymentList
		if err := b.client.List(ctx, &list, client.InNamespace(namespace)); err != nil {
			return false, err
		}
		for _, deployment := range list.Items {
			if deployment.Status.AvailableReplicas < *deployment.Spec.Replicas {
				return false, nil
			}
		}
		return true, nil
	}); err != nil {
		return made, fmt.Errorf("wait for the pods of objects that were created directly: %w", err)
	}
	made.took = time.Since(started)
	progress("%d objects without KSMScale: available after %s", len(objects), made.took)
	if made.after, err = b.costs(ctx); err != nil {
		return made, err
	}
	if err := inParallel(ctx, len(objects), func(ctx context.Context, i int) error {
		return b.client.Delete(ctx, objects[i], client.PropagationPolicy(metav1.DeletePropagationBackground))
	}); err != nil {
		return made, err
	}
	return made, b.awaitRemoved(ctx)
}
