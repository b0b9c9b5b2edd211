package shardpods

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
)

// parallelReads limits the number of simultaneous connections of ReadEach.
const parallelReads = 16

// countedWithin is how long a Deployment takes to count a pod that has become ready.
const countedWithin = 10 * time.Second

// Serving returns the pods of a KSMScale's shards that have been ready for ten seconds and have an address. It leaves out a shard with more
// such pods than its Deployment counts, because one of them only looks like a pod of the Deployment.
func Serving(ctx context.Context, objects client.Reader, ksmScale *v1alpha1.KSMScale, now time.Time) ([]corev1.Pod, error) {
	ofKSMScale := []client.ListOption{
		client.InNamespace(ksmScale.Spec.Namespace), client.MatchingLabels{v1alpha1.LabelKSMScale: ksmScale.Name},
	}
	var pods corev1.PodList
	if err := objects.List(ctx, &pods, ofKSMScale...); err != nil {
		return nil, fmt.Errorf("list the pods of KSMScale %s: %w", ksmScale.Name, err)
	}
	var deployments appsv1.DeploymentList
	if err := objects.List(ctx, &deployments, ofKSMScale...); err != nil {
		return nil, fmt.Errorf("list the Deployments of KSMScale %s: %w", ksmScale.Name, err)
	}
	ours := slices.DeleteFunc(deployments.Items, func(deployment appsv1.Deployment) bool { return !metav1.IsControlledBy(&deployment, ksmScale) })
	var serving []corev1.Pod
	for i := range ours {
		ready := slices.DeleteFunc(Of(ours[i:i+1], pods.Items), func(pod corev1.Pod) bool { return !isServing(&pod, now) })
		if len(ready) <= int(ours[i].Status.ReadyReplicas) {
			serving = append(serving, ready...)
		}
	}
	return slices.DeleteFunc(serving, func(pod corev1.Pod) bool { return pod.Status.PodIP == "" }), nil
}

func isServing(pod *corev1.Pod, now time.Time) bool {
	return pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, func(condition corev1.PodCondition) bool {
		return condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue && now.Sub(condition.LastTransitionTime.Time) >= countedWithin
	})
}

// ReadEach reads several pods at the same time. It returns the results by the UIDs of the pods, and calls skip for each pod that cannot be
// read.
func ReadEach[Result any](ctx context.Context, pods []corev1.Pod, read func(context.Context, *corev1.Pod) (Result, error), skip func(*corev1.Pod, error)) map[types.UID]Result {
	var mu sync.Mutex
	results := map[types.UID]Result{}
	var group errgroup.Group
	group.SetLimit(parallelReads)
	for i := range pods {
		group.Go(func() error {
			result, err := read(ctx, &pods[i])
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				skip(&pods[i], err)
			} else {
				results[pods[i].UID] = result
			}
			return nil
		})
	}
	_ = group.Wait()
	return results
}
