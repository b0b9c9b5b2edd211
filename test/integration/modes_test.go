package integration

import (
	"maps"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/cluster/audit"
)

// Every mode follows every other one, in a cluster that grows. Replicas never fall, and no HorizontalPodAutoscaler is
// left behind.
func TestSwitchingModes(t *testing.T) {
	leaveRunning(t)
	setNodes(t, 90)
	ksmScale := create(t, newKSMScale())
	awaitReplicas(t, ksmScale, 2, 2, 2)
	watched := watchReplicas(t, ksmScale)

	switchMode(t, ksmScale, v1alpha1.ModeDirect, v1alpha1.ReasonFollowingNodes)
	t.Run("Direct needs no adapter", func(t *testing.T) {
		shared.adapter.Kill()
		mark := auditMark(t)
		setNodes(t, 105)
		awaitDeployed(t, ksmScale, 3, 2, 2)
		awaitWrite(t, mark, controllerUser, "deployments")
		events := auditSince(t, mark)
		for _, write := range audit.Writes(events, controllerUser) {
			if write.ObjectRef.Resource == "deployments" {
				assert.Equal(t, "scale", write.ObjectRef.Subresource)
				t.Logf("scaled %s after the first new node", write.StageTimestamp.Sub(firstNode(events).StageTimestamp.Time))
			}
		}
		var err error
		shared.adapter, err = shared.installed.StartAdapter(t.Context(), "adapter-after-direct")
		require.NoError(t, err)
		require.NoError(t, shared.installed.AwaitMetrics(t.Context()))
	})
	switchMode(t, ksmScale, v1alpha1.ModeNone, v1alpha1.ReasonManualScaling)
	setNodes(t, 120)
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonManualScaling)
	awaitDeployed(t, ksmScale, 3, 2, 2)
	switchMode(t, ksmScale, v1alpha1.ModeHorizontalPodAutoscaler, v1alpha1.ReasonFollowingNodes)
	awaitReplicas(t, ksmScale, 3, 3, 2)
	switchMode(t, ksmScale, v1alpha1.ModeNone, v1alpha1.ReasonManualScaling)
	setNodes(t, 135)
	switchMode(t, ksmScale, v1alpha1.ModeDirect, v1alpha1.ReasonFollowingNodes)
	awaitDeployed(t, ksmScale, 3, 3, 3)
	switchMode(t, ksmScale, v1alpha1.ModeHorizontalPodAutoscaler, v1alpha1.ReasonFollowingNodes)
	setNodes(t, 150)
	awaitReplicas(t, ksmScale, 4, 3, 3)

	require.Eventually(t, func() bool {
		return maps.Equal(watched.last(), map[string]int32{
			shardOf(ksmScale, 0).Name(): 4, shardOf(ksmScale, 1).Name(): 3, shardOf(ksmScale, 2).Name(): 3,
		})
	}, eventually, poll, "every change was watched")
	assert.Empty(t, watched.falls(), "replicas never fall")
}

// firstNode is when the first node was created.
func firstNode(events []auditv1.Event) auditv1.Event {
	for _, event := range events {
		if event.Verb == "create" && event.ObjectRef.Resource == "nodes" {
			return event
		}
	}
	return auditv1.Event{}
}

// switchMode changes the mode, and waits until the controller has acted on it.
func switchMode(t *testing.T, ksmScale *v1alpha1.KSMScale, mode v1alpha1.AutoscalingMode, reason string) {
	t.Helper()
	update(t, ksmScale, func(k *v1alpha1.KSMScale) { k.Spec.Autoscaling.Mode = mode })
	generation, autoscalers := ksmScale.Generation, 0
	if mode == v1alpha1.ModeHorizontalPodAutoscaler {
		autoscalers = 3
	}
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.NoError(c, get(t, ksmScale))
		require.GreaterOrEqual(c, ksmScale.Status.ObservedGeneration, generation)
		var there autoscalingv2.HorizontalPodAutoscalerList
		require.NoError(c, shared.client.List(t.Context(), &there, client.InNamespace(ksmScale.Spec.Namespace)))
		require.Len(c, there.Items, autoscalers)
	}, eventually, poll)
	awaitCondition(t, ksmScale, v1alpha1.ConditionAutoscaling, metav1.ConditionTrue, reason)
}

// awaitDeployed waits until the Deployments of a KSMScale are set to the replicas, and they are ready.
func awaitDeployed(t *testing.T, ksmScale *v1alpha1.KSMScale, expected ...int32) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		for id, replicas := range expected {
			deployment := shardObject(ksmScale, int32(id), &appsv1.Deployment{})
			require.NoError(c, get(t, deployment))
			require.Equal(c, replicas, *deployment.Spec.Replicas, "shard %d", id)
			require.Equal(c, replicas, deployment.Status.ReadyReplicas, "shard %d", id)
		}
	}, eventually, poll)
}

// The commands of docs/modes.md create autoscalers that scale, also after a reshard.
func TestCommandsOfModes(t *testing.T) {
	commands := commandsOf(t, "modes.md")
	require.Len(t, commands, 2)
	setNodes(t, 90)
	ksmScale := create(t, newKSMScale(func(k *v1alpha1.KSMScale) {
		k.Name, k.Spec.Namespace, k.Spec.Autoscaling.Mode = "main", "monitoring", v1alpha1.ModeNone
		// Twice that is longer than autoscalers take, and kubectl to begin to wait.
		k.Spec.Monitoring.Interval.Duration = 5 * time.Second
	}))
	t.Cleanup(func() {
		_, err := shared.installed.Kubectl(afterwards(t), "delete", "-n", "monitoring", "hpa", "-l", "autoscalers-of=main")
		require.NoError(t, err)
	})
	awaitDeployed(t, ksmScale, 1, 1, 1)
	runCommands(t, commands[0])
	awaitDeployed(t, ksmScale, 2, 2, 2)

	// The second commands use what the first have defined.
	runCommands(t, commands...)
	require.NoError(t, get(t, ksmScale))
	assert.Equal(t, int32(5), ksmScale.Status.ShardingStatus.TotalShards)
	awaitDeployed(t, ksmScale, 2, 1, 1, 1, 1)
	var autoscalers autoscalingv2.HorizontalPodAutoscalerList
	require.NoError(t, shared.client.List(t.Context(), &autoscalers, client.InNamespace("monitoring"), client.MatchingLabels{"autoscalers-of": "main"}))
	assert.Len(t, autoscalers.Items, 5, "those of the old shards are gone")
	awaitCondition(t, ksmScale, v1alpha1.ConditionAutoscaling, metav1.ConditionTrue, v1alpha1.ReasonManualScaling)
}

// The sample of an autoscaler of one's own scales as ours do.
func TestOwnAutoscaler(t *testing.T) {
	setNodes(t, 45)
	sample := filepath.Join("..", "..", "config", "samples", "own-autoscaler.yaml")
	_, err := shared.installed.Kubectl(t.Context(), "apply", "--server-side", "--validate=strict", "-f", sample)
	require.NoError(t, err)
	ksmScale := &v1alpha1.KSMScale{ObjectMeta: metav1.ObjectMeta{Name: "own-autoscaler"}}
	t.Cleanup(func() {
		_, err := shared.installed.Kubectl(afterwards(t), "delete", "--wait", "-f", sample)
		require.NoError(t, err)
	})
	require.NoError(t, get(t, ksmScale))
	awaitDeployed(t, ksmScale, 3)
	setNodes(t, 60)
	awaitDeployed(t, ksmScale, 4)
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAsPlanned)
	awaitCondition(t, ksmScale, v1alpha1.ConditionAutoscaling, metav1.ConditionTrue, v1alpha1.ReasonManualScaling)
}
