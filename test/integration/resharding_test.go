package integration

import (
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
)

// The number of shards changes in all ways, and the controller is killed in each phase. Objects stay covered, and in
// the end there is what is wanted and nothing else.
func TestResharding(t *testing.T) {
	leaveRunning(t)
	setNodes(t, 60)
	ksmScale := create(t, newKSMScale())
	awaitReplicas(t, ksmScale, 2, 1, 1)
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAsPlanned)
	uncovered := watchCoverage(t, ksmScale)

	for _, step := range []struct {
		name     string
		sharding v1alpha1.ShardingConfig
		expected []int32
	}{
		{"from 3 to 5", v1alpha1.ShardingConfig{Enabled: true, ShardCount: 5, MinReplicasPerShard: 1}, []int32{1, 1, 1, 1, 1}},
		{"from 5 to 2", v1alpha1.ShardingConfig{Enabled: true, ShardCount: 2, MinReplicasPerShard: 1}, []int32{2, 2}},
		{"off", v1alpha1.ShardingConfig{Enabled: false, ShardCount: 2, MinReplicasPerShard: 1}, []int32{4}},
		{"on", v1alpha1.ShardingConfig{Enabled: true, ShardCount: 3, MinReplicasPerShard: 1}, []int32{2, 1, 1}},
	} {
		t.Run(step.name, func(t *testing.T) {
			before := ksmScale.Spec.TotalShards()
			reshardTo(t, ksmScale, step.sharding)
			awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonResharding)
			assert.Equal(t, v1alpha1.PhaseResharding, ksmScale.Status.Phase)
			assert.ElementsMatch(t, []int32{before, ksmScale.Spec.TotalShards()}, ksmScale.Status.ShardingStatus.Partitions)
			// In the middle of it, and again when the new shards have just become ready.
			restartController(t)
			awaitDeployments(t, ksmScale, int(before+ksmScale.Spec.TotalShards()))
			restartController(t)
			awaitReplicas(t, ksmScale, step.expected...)
			awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAsPlanned)
			awaitDeployments(t, ksmScale, int(ksmScale.Spec.TotalShards()))
			assert.Equal(t, []int32{ksmScale.Spec.TotalShards()}, ksmScale.Status.ShardingStatus.Partitions)
		})
	}
	t.Run("a change of mind", func(t *testing.T) {
		reshardTo(t, ksmScale, v1alpha1.ShardingConfig{Enabled: true, ShardCount: 7, MinReplicasPerShard: 1})
		awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonResharding)
		reshardTo(t, ksmScale, v1alpha1.ShardingConfig{Enabled: true, ShardCount: 3, MinReplicasPerShard: 1})
		awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAsPlanned)
		awaitDeployments(t, ksmScale, 3)
	})
	awaitEvent(t, ksmScale, corev1.EventTypeNormal, v1alpha1.ReasonResharding)
	assert.Empty(t, uncovered(), "the condition Covered was never anything but True")
}

// While two partitions run, the autoscalers of both have their metric.
func TestBothPartitionsHaveMetrics(t *testing.T) {
	setNodes(t, 90)
	ksmScale := create(t, newKSMScale(func(k *v1alpha1.KSMScale) {
		// Long enough to look at both.
		require.NoError(t, k.Spec.Monitoring.Interval.UnmarshalJSON([]byte(`"5m"`)))
	}))
	awaitReplicas(t, ksmScale, 2, 2, 2)
	reshardTo(t, ksmScale, v1alpha1.ShardingConfig{Enabled: true, ShardCount: 2, MinReplicasPerShard: 1})
	awaitReplicas(t, ksmScale, 3, 3)
	awaitDeployments(t, ksmScale, 5)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		for _, total := range []string{"2", "3"} {
			is := ask(t.Context(), c, shared.cluster.Config(), "/apis/external.metrics.k8s.io/v1beta1/namespaces/"+ksmScale.Spec.Namespace+
				"/ksmscale_desired_replicas?labelSelector=ksmscale%3D"+ksmScale.Name+",total_shards%3D"+total)
			require.Equal(c, http.StatusOK, is.code, is.body)
		}
	}, eventually, poll)
	progressing := awaitCondition(t, ksmScale, v1alpha1.ConditionProgressing, metav1.ConditionTrue, v1alpha1.ReasonResharding)
	assert.Contains(t, progressing.Message, "every shard of 2 to have been ready for two scrape intervals, 10m0s")
}

func reshardTo(t *testing.T, ksmScale *v1alpha1.KSMScale, sharding v1alpha1.ShardingConfig) {
	t.Helper()
	update(t, ksmScale, func(k *v1alpha1.KSMScale) { k.Spec.Sharding = &sharding })
}

func restartController(t *testing.T) {
	t.Helper()
	shared.controller.Kill()
	startController(t, "controller-resharding")
}

func awaitDeployments(t *testing.T, ksmScale *v1alpha1.KSMScale, number int) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		var list appsv1.DeploymentList
		require.NoError(c, shared.client.List(t.Context(), &list, client.InNamespace(ksmScale.Spec.Namespace)))
		var names []string
		for _, deployment := range list.Items {
			names = append(names, deployment.Name)
		}
		require.Len(c, names, number)
	}, eventually, poll)
}

// watchCoverage returns what the condition Covered said other than True since then.
func watchCoverage(t *testing.T, ksmScale *v1alpha1.KSMScale) func() []string {
	t.Helper()
	watcher, err := client.NewWithWatch(shared.cluster.Config(), client.Options{Scheme: shared.client.Scheme()})
	require.NoError(t, err)
	watched, err := watcher.Watch(t.Context(), &v1alpha1.KSMScaleList{}, client.MatchingFields{"metadata.name": ksmScale.Name})
	require.NoError(t, err)
	var mu sync.Mutex
	var said []string
	go func() {
		for event := range watched.ResultChan() {
			is, ok := event.Object.(*v1alpha1.KSMScale)
			if !ok {
				continue
			}
			covered := meta.FindStatusCondition(is.Status.Conditions, v1alpha1.ConditionCovered)
			if covered != nil && covered.Status != metav1.ConditionTrue {
				mu.Lock()
				said = append(said, covered.Message)
				mu.Unlock()
			}
		}
	}()
	t.Cleanup(watched.Stop)
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(said)
	}
}
