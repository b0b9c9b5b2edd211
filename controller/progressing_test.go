package controller

import (
	"testing"

	"github.com/stretchr/testify/assert"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/example/ksmscale/api/v1alpha1"
)

func progressingOf(w world) *metav1.Condition {
	return meta.FindStatusCondition(w.status().Conditions, v1alpha1.ConditionProgressing)
}

func TestPausedDeployments(t *testing.T) {
	paused := func(updated int32) func(*world) {
		return func(w *world) {
			deployment := &w.observed.deployments[1]
			deployment.Namespace, deployment.Spec.Paused, deployment.Status.UpdatedReplicas = "monitoring", true, updated
			deployment.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionUnknown, Reason: "DeploymentPaused", Message: "Deployment is paused"}}
		}
	}
	condition := progressingOf(newWorld(paused(0)))
	assert.Equal(t, "False DeploymentPaused", string(condition.Status)+" "+condition.Reason)
	assert.Contains(t, condition.Message, "kubectl -n monitoring rollout resume deployment ksm-main-shard-1-of-3")

	condition = progressingOf(newWorld(paused(1), func(w *world) { w.observed.outdated = sets.New(shard(1)) }))
	assert.Equal(t, "False DeploymentPaused", string(condition.Status)+" "+condition.Reason, "it has not got the template itself")

	condition = progressingOf(newWorld(paused(1)))
	assert.Equal(t, "True Complete", string(condition.Status)+" "+condition.Reason, "nothing is kept from its pods")
}

// injected is an init container that an admission webhook has added, in place of a pod's container.
func injected(change func(*corev1.Pod)) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		change(p)
		p.Status.InitContainerStatuses = p.Status.ContainerStatuses
		p.Status.InitContainerStatuses[0].Name = "istio-init"
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: containerName, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "PodInitializing"}},
		}}
	}
}

func TestInitContainersThatFail(t *testing.T) {
	for _, test := range []struct {
		change        func(*corev1.Pod)
		reason, cause string
	}{
		{waiting("ImagePullBackOff"), "ImagePullBackOff", "it cannot be pulled"},
		{backingOff(3), "CrashLoopBackOff", "last with exit code 2"},
		{waiting("CreateContainerConfigError"), "CreateContainerConfigError", "said the kubelet"},
	} {
		condition := progressingOf(newWorld(func(w *world) { w.observed.pods[0] = pod(0, "a", injected(test.change)) }))
		assert.Equal(t, "False "+test.reason, string(condition.Status)+" "+condition.Reason)
		assert.Contains(t, condition.Message, "Init container istio-init of pod ksm-main-shard-0-of-3-a")
		assert.Contains(t, condition.Message, test.cause)
	}
	initializing := newWorld(func(w *world) { w.observed.pods[0] = pod(0, "a", injected(waiting("PodInitializing"))) })
	assert.Equal(t, metav1.ConditionTrue, progressingOf(initializing).Status)
}
