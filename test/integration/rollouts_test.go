package integration

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/installation"
	"github.com/example/ksmscale/test/rollouts"
)

const (
	nextMonitorImage = "registry.example.com/kube-state-metrics:v2.20.0"
	nextGateImage    = "ksmscale:next"
)

func TestAChangeOfTheTemplateIsRolledOutShardByShard(t *testing.T) {
	setNodes(t, 10)
	ksmScale := create(t, newKSMScale(func(k *v1alpha1.KSMScale) { k.Spec.Sharding.ShardCount = 5 }))
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAtMinimum)
	awaitCreated(t, ksmScale)
	watched := watchRollouts(t, nextMonitorImage)
	update(t, ksmScale, func(k *v1alpha1.KSMScale) { k.Spec.MonitorImage = nextMonitorImage })
	condition := awaitCondition(t, ksmScale, v1alpha1.ConditionProgressing, metav1.ConditionTrue, v1alpha1.ReasonRollingOut)
	assert.Contains(t, condition.Message, "of 5 shards have the current template")
	awaitRolledOut(t, watched, 5)
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAtMinimum)
	most, _ := watched.Most(ksmScale.Name)
	assert.Equal(t, 1, most, "at the same time")
}

// An upgrade of KSMScale changes the gate of all shards. Its leader is killed during the rollout, and another controller
// continues.
func TestAnUpgradeStaysWithinTheBoundsWhoeverLeads(t *testing.T) {
	leaveRunning(t)
	setNodes(t, 20)
	var ksmScales []*v1alpha1.KSMScale
	for range 4 {
		ksmScales = append(ksmScales, create(t, newKSMScale(func(k *v1alpha1.KSMScale) {
			k.Spec.Monitoring.Interval.Duration = 5 * time.Second // Rollouts overlap on a slow machine, too.
		})))
	}
	for _, ksmScale := range ksmScales {
		awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAtMinimum)
		awaitCreated(t, ksmScale)
	}
	watched := watchRollouts(t, nextGateImage)
	shared.controller.Kill()
	releaseLease(t)
	leader := startUpgraded(t, "controller-upgraded")
	startUpgraded(t, "controller-upgraded-standby")
	awaitRolledOut(t, watched, 2)
	leader.Kill()
	releaseLease(t)
	awaitRolledOut(t, watched, 12)
	for _, ksmScale := range ksmScales {
		awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAtMinimum)
		most, all := watched.Most(ksmScale.Name)
		assert.Equal(t, 1, most, "of %s at the same time", ksmScale.Name)
		assert.Equal(t, 3, all, "of all at the same time")
	}
}

// awaitCreated waits until the creation of a KSMScale's Deployments is over, which takes a moment longer than their pods take to be
// ready. A change before that is no rollout.
func awaitCreated(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		var deployments appsv1.DeploymentList
		require.NoError(c, shared.client.List(t.Context(), &deployments, client.InNamespace(ksmScale.Spec.Namespace)))
		require.NotEmpty(c, deployments.Items)
		for _, deployment := range deployments.Items {
			condition := deploymentCondition(deployment, appsv1.DeploymentProgressing)
			require.Equal(c, "NewReplicaSetAvailable", condition.Reason, deployment.Name)
		}
	}, eventually, poll)
}

// deploymentCondition is the condition of that type; zero without it.
func deploymentCondition(deployment appsv1.Deployment, conditionType appsv1.DeploymentConditionType) appsv1.DeploymentCondition {
	for _, condition := range deployment.Status.Conditions {
		if condition.Type == conditionType {
			return condition
		}
	}
	return appsv1.DeploymentCondition{}
}

// startUpgraded starts a controller of the next version of KSMScale and waits until it or another one leads.
func startUpgraded(t *testing.T, name string) *installation.Component {
	t.Helper()
	started, err := shared.installed.StartController(t.Context(), name, "--gate-image="+nextGateImage)
	require.NoError(t, err)
	t.Cleanup(started.Kill)
	require.EventuallyWithT(t, func(c *assert.CollectT) { require.NoError(c, get(t, controllerLease())) }, eventually, poll)
	return started
}

// watchRollouts watches the Deployments of all KSMScales.
func watchRollouts(t *testing.T, image string) *rollouts.Watch {
	t.Helper()
	return rollouts.New(t, shared.client, image)
}

// awaitRolledOut waits until that many Deployments have been rolled out.
func awaitRolledOut(t *testing.T, watched *rollouts.Watch, count int) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) { require.GreaterOrEqual(c, watched.Done(), count) }, eventually, poll)
}
