package integration

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/changes"
)

// The number of shards changes in all ways, and the controller is killed in each phase. Objects stay covered. In the end,
// exactly the desired objects exist.
func TestResharding(t *testing.T) {
	leaveRunning(t)
	setNodes(t, 75)
	// All shards of both partitions are there for two intervals, and for as long as Prometheus may take to notice.
	ksmScale := create(t, newKSMScale(func(k *v1alpha1.KSMScale) { k.Spec.Monitoring.Interval = metav1.Duration{Duration: time.Second} }))
	awaitReplicas(t, ksmScale, 2, 2, 1)
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAsPlanned)
	uncovered := watchCoverage(t, ksmScale)

	for _, step := range []struct {
		name     string
		sharding v1alpha1.ShardingConfig
		expected []int32
		// killed is how often the controller is: when the first new shards are there, and when all are.
		killed int
	}{
		{"from 3 to 5", v1alpha1.ShardingConfig{Enabled: true, ShardCount: 5, MinReplicasPerShard: 1}, []int32{1, 1, 1, 1, 1}, 2},
		{"from 5 to 2", v1alpha1.ShardingConfig{Enabled: true, ShardCount: 2, MinReplicasPerShard: 1}, []int32{3, 2}, 0},
		{"off", v1alpha1.ShardingConfig{Enabled: false, ShardCount: 2, MinReplicasPerShard: 1}, []int32{5}, 1},
		{"on", v1alpha1.ShardingConfig{Enabled: true, ShardCount: 3, MinReplicasPerShard: 1}, []int32{2, 2, 1}, 0},
	} {
		t.Run(step.name, func(t *testing.T) {
			before := ksmScale.TotalShards()
			reshardTo(t, ksmScale, step.sharding)
			awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonResharding)
			assert.Equal(t, v1alpha1.PhaseResharding, ksmScale.Status.Phase)
			assert.ElementsMatch(t, []int32{before, ksmScale.TotalShards()}, ksmScale.Status.ShardingStatus.Partitions)
			assert.Len(t, ksmScale.Status.ShardingStatus.PreviousShardDistribution, int(before), "the partition that serves is still visible")
			if step.killed > 0 {
				restartController(t)
			}
			if step.killed > 1 {
				awaitDeployments(t, ksmScale, int(before+ksmScale.TotalShards()))
				restartController(t)
			}
			awaitReplicas(t, ksmScale, step.expected...)
			awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAsPlanned)
			awaitDeployments(t, ksmScale, int(ksmScale.TotalShards()))
			assert.Equal(t, []int32{ksmScale.TotalShards()}, ksmScale.Status.ShardingStatus.Partitions)
		})
	}
	t.Run("a change of mind", func(t *testing.T) {
		reshardTo(t, ksmScale, v1alpha1.ShardingConfig{Enabled: true, ShardCount: 7, MinReplicasPerShard: 1})
		awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonResharding)
		reshardTo(t, ksmScale, v1alpha1.ShardingConfig{Enabled: true, ShardCount: 3, MinReplicasPerShard: 1})
		awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAsPlanned)
		awaitDeployments(t, ksmScale, 3)
	})
	for _, reason := range []string{v1alpha1.ReasonResharding, "NewShardsReady", "NewShardsTookOver", "Resharded"} {
		awaitEvent(t, ksmScale, corev1.EventTypeNormal, reason)
	}
	runCommands(t, "kubectl get events --field-selector involvedObject.name="+ksmScale.Name)
	assert.Empty(t, uncovered(), "the condition Covered was never anything but True")
}

// While two partitions run, both follow the nodes, because a reshard may take any time.
func TestBothPartitionsFollowNodes(t *testing.T) {
	setNodes(t, 90)
	ksmScale := create(t, newKSMScale(func(k *v1alpha1.KSMScale) {
		// Long enough to look at both.
		k.Spec.Monitoring.Interval = metav1.Duration{Duration: 5 * time.Minute}
	}))
	awaitReplicas(t, ksmScale, 2, 2, 2)
	reshardTo(t, ksmScale, v1alpha1.ShardingConfig{Enabled: true, ShardCount: 2, MinReplicasPerShard: 1})
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		var list appsv1.DeploymentList
		require.NoError(c, shared.client.List(t.Context(), &list, client.InNamespace(ksmScale.Spec.Namespace)))
		ready := map[string][]int32{}
		for _, deployment := range list.Items {
			total := deployment.Labels[v1alpha1.LabelTotalShards]
			ready[total] = append(ready[total], deployment.Status.ReadyReplicas)
		}
		require.Equal(c, map[string][]int32{"2": {3, 3}, "3": {2, 2, 2}}, ready)
	}, eventually, poll)
	setNodes(t, 120)
	for total, replicas := range map[string][]int32{"2": {4, 4}, "3": {3, 3, 2}} {
		require.EventuallyWithT(t, func(c *assert.CollectT) {
			for id, wanted := range replicas {
				var autoscaler autoscalingv2.HorizontalPodAutoscaler
				shard := v1alpha1.Shard{KSMScale: ksmScale.Name, ID: int32(id), Total: int32(len(replicas))}
				require.NoError(c, shared.client.Get(t.Context(), client.ObjectKey{Namespace: ksmScale.Spec.Namespace, Name: shard.Name()}, &autoscaler))
				require.Equal(c, wanted, autoscaler.Status.DesiredReplicas, "shard %d of %s", id, total)
			}
		}, eventually, poll)
	}
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.NoError(c, get(t, ksmScale))
		progressing := meta.FindStatusCondition(ksmScale.Status.Conditions, v1alpha1.ConditionProgressing)
		require.Equal(c, v1alpha1.ReasonResharding, progressing.Reason)
		// Before that it names the shard whose new pods are not ready yet.
		require.Contains(c, progressing.Message, "2 of 2 new shards are ready, and they wait for Prometheus to scrape them for two scrape intervals (10m0s), until 20")
	}, eventually, poll)
}

func reshardTo(t *testing.T, ksmScale *v1alpha1.KSMScale, config v1alpha1.ShardingConfig) {
	t.Helper()
	update(t, ksmScale, func(k *v1alpha1.KSMScale) { k.Spec.Sharding = &config })
}

func restartController(t *testing.T) {
	t.Helper()
	shared.controller.Kill()
	releaseLease(t)
	startController(t, "controller-resharding")
}

// releaseLease deletes the lease of a killed controller. This test is not about how long other controllers wait for it.
func releaseLease(t *testing.T) {
	t.Helper()
	require.NoError(t, client.IgnoreNotFound(shared.client.Delete(t.Context(), controllerLease())))
}

func awaitDeployments(t *testing.T, ksmScale *v1alpha1.KSMScale, number int) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		var list appsv1.DeploymentList
		require.NoError(c, shared.client.List(t.Context(), &list, client.InNamespace(ksmScale.Spec.Namespace)))
		var actual []string
		for _, deployment := range list.Items {
			actual = append(actual, deployment.Name)
		}
		require.Len(c, actual, number)
	}, eventually, poll)
}

// watchCoverage returns the messages of the condition Covered since then, except those with status True.
func watchCoverage(t *testing.T, ksmScale *v1alpha1.KSMScale) func() []string {
	t.Helper()
	var mu sync.Mutex
	var messages []string
	changes.Watch(t, shared.client, &v1alpha1.KSMScaleList{}, func(_ watch.EventType, changed *v1alpha1.KSMScale) {
		covered := meta.FindStatusCondition(changed.Status.Conditions, v1alpha1.ConditionCovered)
		if covered != nil && covered.Status != metav1.ConditionTrue {
			mu.Lock()
			messages = append(messages, covered.Message)
			mu.Unlock()
		}
	}, client.MatchingFields{"metadata.name": ksmScale.Name})
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(messages)
	}
}
