package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/cluster"
)

// ampleMemory returns a step of memory requests far above what kube-state-metrics uses for the objects of the test, and the next step.
func ampleMemory() (request, next resource.Quantity) {
	if full() {
		return resource.MustParse("583Mi"), resource.MustParse("728Mi")
	}
	return resource.MustParse("239Mi"), resource.MustParse("299Mi")
}

// sizesItself lets requests and limits follow what kube-state-metrics uses, from an ample request on. The scrapes that bring about a kill
// need memory too, and a measurement of it must not raise the request besides the kill.
func sizesItself(spec *v1alpha1.KSMScaleSpec) {
	ample, _ := ampleMemory()
	spec.AutoResources = &v1alpha1.AutoResources{MinMemory: &ample}
}

// runOutOfMemory lets the kernel kill one kube-state-metrics of the last shard for its memory. The next memory request follows by itself, in
// that shard first.
func runOutOfMemory(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	needsLocal(t)
	ample, next := ampleMemory()
	before := awaitRecommended(t, ksmScale, resource.Quantity{})
	require.True(t, before.Equal(ample), "%s suffices, and %s is requested", ample.String(), before.String())
	last := v1alpha1.Shard{KSMScale: ksmScale.Name, ID: ksmScale.TotalShards() - 1, Total: ksmScale.TotalShards()}
	rollouts := lastRollouts(t, ksmScale)
	pod := pods(t, monitoringNamespace, labels.SelectorFromSet(last.Selector()).String())[0]
	process := processOf(t, pod, "kube-state-metrics")
	limit, err := cluster.FreezeMemory(process)
	require.NoError(t, err)
	awaitKilledForMemory(t, pod, process)
	after := awaitRecommended(t, ksmScale, before)
	t.Logf("a kube-state-metrics of %s was killed at %d MiB; the request rose from %s to %s", last.Name(), limit>>20, before.String(), after.String())
	began := lastRollouts(t, ksmScale)
	for name := range began {
		assert.True(t, began[name].After(rollouts[name]), "%s has a rollout", name)
		if name != last.Name() {
			// A shard waits for its turn until the rollout before is complete.
			assert.True(t, began[name].After(began[last.Name()]), "%s waits for the shard whose kube-state-metrics was killed", name)
		}
	}
	assert.Equal(t, next.String(), after.String(), "it is the next step")
}

// awaitRecommended waits until all Deployments have the recommended memory request, which is above another one, and all pods are ready. It
// returns the request.
func awaitRecommended(t *testing.T, ksmScale *v1alpha1.KSMScale, above resource.Quantity) resource.Quantity {
	t.Helper()
	var request resource.Quantity
	await(t, "the recommended memory request", func(ctx context.Context) error {
		if err := shared.client.Get(ctx, client.ObjectKeyFromObject(ksmScale), ksmScale); err != nil {
			return err
		}
		recommendation := ksmScale.Status.Recommendation
		if recommendation == nil || recommendation.MemoryRequest == nil || recommendation.MemoryRequest.Cmp(above) <= 0 {
			return errors.New("there is no such recommendation yet")
		}
		request = *recommendation.MemoryRequest
		for _, deployment := range shardDeployments(t, ksmScale) {
			if current := memoryRequest(deployment); current.Cmp(request) != 0 {
				return fmt.Errorf("%s requests %s of %s", deployment.Name, current.String(), request.String())
			}
		}
		return nil
	})
	awaitReady(t, ksmScale)
	return request
}

// awaitKilledForMemory scrapes a pod until its kube-state-metrics was killed for its memory: answers need memory. The limit follows the memory
// that kube-state-metrics returns in between.
func awaitKilledForMemory(t *testing.T, pod corev1.Pod, process int) {
	t.Helper()
	await(t, "the kernel to kill kube-state-metrics", func(ctx context.Context) error {
		for range 4 {
			// The scrape that needs too much memory fails.
			_, _ = shared.clientset.CoreV1().RESTClient().Get().Namespace(pod.Namespace).Resource("pods").
				Name(fmt.Sprintf("%s:%d", pod.Name, v1alpha1.PortMetrics)).SubResource("proxy").Suffix("metrics").DoRaw(ctx)
		}
		// It fails once the process is gone.
		_, _ = cluster.FreezeMemory(process)
		if err := shared.client.Get(ctx, client.ObjectKeyFromObject(&pod), &pod); err != nil {
			return client.IgnoreNotFound(err) // Its successor has come already.
		}
		for _, current := range pod.Status.ContainerStatuses {
			for _, terminated := range []*corev1.ContainerStateTerminated{current.State.Terminated, current.LastTerminationState.Terminated} {
				// The runtime may report the end of a container before the reason.
				if current.Name == "kube-state-metrics" && terminated != nil && terminated.Reason == "OOMKilled" {
					return nil
				}
			}
		}
		return errors.New("it has not been")
	})
}

// lastRollouts has the time at which the last rollout of each Deployment began, by the name of the Deployment: its newest ReplicaSet was
// created then.
func lastRollouts(t *testing.T, ksmScale *v1alpha1.KSMScale) map[string]time.Time {
	t.Helper()
	var list appsv1.ReplicaSetList
	require.NoError(t, shared.client.List(t.Context(), &list, client.InNamespace(monitoringNamespace), client.MatchingLabels{v1alpha1.LabelKSMScale: ksmScale.Name}))
	began := map[string]time.Time{}
	for i := range list.Items {
		name, created := metav1.GetControllerOf(&list.Items[i]).Name, list.Items[i].CreationTimestamp.Time
		if created.After(began[name]) {
			began[name] = created
		}
	}
	return began
}

func shardDeployments(t *testing.T, ksmScale *v1alpha1.KSMScale) []appsv1.Deployment {
	t.Helper()
	var list appsv1.DeploymentList
	require.NoError(t, shared.client.List(t.Context(), &list, client.InNamespace(monitoringNamespace), client.MatchingLabels{v1alpha1.LabelKSMScale: ksmScale.Name}))
	return list.Items
}

// memoryRequest is the memory request of the kube-state-metrics in the pods of a Deployment.
func memoryRequest(deployment appsv1.Deployment) resource.Quantity {
	for _, container := range deployment.Spec.Template.Spec.Containers {
		if container.Name == "kube-state-metrics" {
			return *container.Resources.Requests.Memory()
		}
	}
	return resource.Quantity{}
}
