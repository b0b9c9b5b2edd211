package status

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
	"github.com/example/ksmscale/controller/fixtures/snapshots"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/controller/partition"
)

func progressingOf(w world) *metav1.Condition {
	return meta.FindStatusCondition(w.status().Conditions, v1alpha1.ConditionProgressing)
}

func TestPausedDeployments(t *testing.T) {
	paused := func(updated int32) func(*world) {
		return func(w *world) {
			deployment := &w.observed.Deployments[1]
			deployment.Namespace, deployment.Spec.Paused, deployment.Status.UpdatedReplicas = "monitoring", true, updated
			deployment.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionUnknown, Reason: "DeploymentPaused", Message: "Deployment is paused"}}
		}
	}
	condition := progressingOf(newWorld(paused(0)))
	assert.Equal(t, "False DeploymentPaused", string(condition.Status)+" "+condition.Reason)
	assert.Contains(t, condition.Message, "kubectl -n monitoring rollout resume deployment ksm-main-shard-1-of-3")

	condition = progressingOf(newWorld(paused(1), func(w *world) { w.observed.Outdated = sets.New(fixtures.Shard(1)) }))
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
			Name: objects.ContainerName, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "PodInitializing"}},
		}}
	}
}

func TestInitContainersThatFail(t *testing.T) {
	for _, test := range []struct {
		change        func(*corev1.Pod)
		reason, cause string
	}{
		{fixtures.Waiting("ImagePullBackOff"), "ImagePullBackOff", "the kubelet cannot pull it"},
		{fixtures.BackingOff(3), "CrashLoopBackOff", "last with exit code 2"},
		{fixtures.Waiting("CreateContainerConfigError"), "CreateContainerConfigError", "reported by the kubelet"},
	} {
		condition := progressingOf(newWorld(func(w *world) { w.observed.Pods[0] = fixtures.Pod(0, "a", injected(test.change)) }))
		assert.Equal(t, "False "+test.reason, string(condition.Status)+" "+condition.Reason)
		assert.Contains(t, condition.Message, "Init container istio-init of pod ksm-main-shard-0-of-3-a")
		assert.Contains(t, condition.Message, test.cause)
	}
	initializing := newWorld(func(w *world) {
		w.observed.Pods[0] = fixtures.Pod(0, "a", injected(fixtures.Waiting("PodInitializing")))
	})
	assert.Equal(t, metav1.ConditionTrue, progressingOf(initializing).Status)
}

func TestReshardingIsVisible(t *testing.T) {
	w := newWorld(func(w *world) {
		w.ksmScale.Spec.Sharding.ShardCount = 2
		snapshots.AddPartition(&w.observed, 2, 1, 0, fixtures.Time)
	})
	status := w.status()
	assert.Equal(t, v1alpha1.PhaseResharding, status.Phase)
	assert.Equal(t, []int32{2, 3}, status.ShardingStatus.Partitions)
	assert.EqualValues(t, 2, status.ShardingStatus.TotalShards)
	assert.EqualValues(t, 3, status.CurrentReplicas, "of the partition that serves")
	assert.Equal(t, "3/3", status.Ready)
	assert.Len(t, status.ShardingStatus.ShardDistribution, 2)
	assert.Len(t, status.ShardingStatus.PreviousShardDistribution, 3)
	assert.EqualValues(t, 1, status.ShardingStatus.PreviousShardDistribution["2-of-3"].Ready)
	progressing := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionProgressing)
	assert.Equal(t, metav1.ConditionTrue, progressing.Status)
	assert.Equal(t, v1alpha1.ReasonResharding, progressing.Reason)
	assert.Equal(t, "0 of 2 new shards are ready, and they wait for shard 0 of 2 to have 1 ready pod (now 0); the previous partition of 3 shards serves until then", progressing.Message)
	covered := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionCovered)
	assert.Equal(t, metav1.ConditionTrue, covered.Status, "by the shards from before")
	ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
	assert.Equal(t, v1alpha1.ReasonResharding, ready.Reason)

	t.Run("and that objects are missing is told first", func(t *testing.T) {
		w.observed.Pods = w.observed.Pods[1:]
		status := w.status()
		assert.Equal(t, v1alpha1.PhaseIncomplete, status.Phase)
		assert.True(t, meta.IsStatusConditionFalse(status.Conditions, v1alpha1.ConditionCovered))
	})
}

func TestEachStepOfAReshardHasAnEvent(t *testing.T) {
	before := &v1alpha1.ShardingStatus{TotalShards: 3, Partitions: []int32{3}}
	during := &v1alpha1.ShardingStatus{TotalShards: 2, Partitions: []int32{2, 3}}
	after := &v1alpha1.ShardingStatus{TotalShards: 2, Partitions: []int32{2}}
	awaiting := func(step partition.AwaitedStep) partition.Decision {
		return partition.Decision{Awaited: &partition.Awaited{Step: step, ScrapedFor: time.Minute}}
	}
	for _, test := range []struct {
		decision        partition.Decision
		before, current *v1alpha1.ShardingStatus
		reason, note    string
	}{
		{partition.Decision{}, nil, before, "", ""},
		{awaiting(partition.AwaitDeployment), before, during, "Resharding", "2 new shards are created; the previous partition of 3 shards serves until they take over"},
		{awaiting(partition.AwaitReadyPods), during, during, "Resharding", "2 new shards are created; the previous partition of 3 shards serves until they take over"},
		{awaiting(partition.AwaitScrapes), during, during, "NewShardsReady", "2 new shards are ready, and the previous partition of 3 shards serves until Prometheus has scraped them for 1m0s"},
		{partition.Decision{}, during, during, "NewShardsTookOver", "2 new shards have taken over, and the previous partition of 3 shards is deleted once Prometheus no longer scrapes it"},
		{partition.Decision{}, during, after, "Resharded", "2 shards run, and every other partition is deleted"},
		{partition.Decision{}, after, after, "", ""},
	} {
		reason, note := ReshardEvent(test.decision, test.before, test.current)
		assert.Equal(t, test.reason, reason)
		assert.Equal(t, test.note, note)
	}
}
