package partition

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
	"github.com/example/ksmscale/controller/fixtures/snapshots"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/plans"
	"github.com/example/ksmscale/scaling"
	"github.com/example/ksmscale/sizing"
)

// auto is a KSMScale with spec.sharding.auto and a number of shards in its status; 0 if that was lost.
func auto(total int32, overrides ...func(*v1alpha1.KSMScale)) *v1alpha1.KSMScale {
	return fixtures.KSMScale(append([]func(*v1alpha1.KSMScale){func(k *v1alpha1.KSMScale) {
		k.Spec.Sharding.Auto = &v1alpha1.AutoSharding{TargetSeriesPerShard: 250_000, MinShards: 2, MaxShards: 10}
		if total > 0 {
			k.Status.ShardingStatus = &v1alpha1.ShardingStatus{TotalShards: total}
		}
	}}, overrides...)...)
}

func inputOf(ksmScale *v1alpha1.KSMScale, snapshot observation.Snapshot) sizing.Input {
	return SizingInput(plans.New(ksmScale, scaling.Cluster{Nodes: 800}, fixtures.Time), snapshot, false)
}

// measuredShards is a snapshot with a whole partition, each shard of which has a number of series.
func measuredShards(total int32, series int64) observation.Snapshot {
	var snapshot observation.Snapshot
	snapshots.AddPartition(&snapshot, total, total, 1, fixtures.Time.Add(-time.Hour))
	snapshot.Measurements = map[v1alpha1.Shard]observation.Measurement{}
	for id := range total {
		snapshot.Measurements[v1alpha1.Shard{KSMScale: "main", ID: id, Total: total}] = observation.Measurement{Series: series, PeakMemoryBytes: 200 << 20}
	}
	return snapshot
}

func TestTheNumberOfShardsInEffect(t *testing.T) {
	unmeasured := measuredShards(12, 1)
	unmeasured.Measurements = nil
	recommendedFive := func(k *v1alpha1.KSMScale) { k.Status.Recommendation = &v1alpha1.Recommendation{Shards: 5} }
	for _, test := range []struct {
		name     string
		ksmScale *v1alpha1.KSMScale
		snapshot observation.Snapshot
		want     int32
	}{
		{"nothing runs yet", auto(0), observation.Snapshot{}, 0},
		{"the status has it", auto(4), measuredShards(4, 1), 4},
		{"the status was lost, so it is the partition that serves", auto(0), measuredShards(4, 1), 4},
		{"it was unsharded before", auto(1), measuredShards(1, 1), 0},
		{"auto is new, so it is still to be chosen", auto(4, recommendedFive), measuredShards(4, 1), 0},
		{"auto is new, and the number in effect is beyond its bounds", auto(12, recommendedFive), measuredShards(12, 1), 0},
		{"and not measured, so it is brought within them", auto(12, recommendedFive), unmeasured, 12},
		{"only recommended", fixtures.KSMScale(recommendedFive), measuredShards(3, 1), 5},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, inputOf(test.ksmScale, test.snapshot).Previous.Shards)
		})
	}
}

func TestFiguresOfThePartitionThatServes(t *testing.T) {
	in := inputOf(auto(4), measuredShards(4, 100))
	assert.True(t, in.Figures.Measured())
	assert.EqualValues(t, 400, in.Figures.Series())
	assert.Equal(t, "v2.20.0", in.Figures.Version, "the image says it until a pod does")
	assert.EqualValues(t, 800, in.Nodes)
	assert.EqualValues(t, 54, in.CalculatedReplicas)
	assert.False(t, in.Busy)

	incomplete := measuredShards(4, 100)
	delete(incomplete.Measurements, v1alpha1.Shard{KSMScale: "main", ID: 2, Total: 4})
	assert.False(t, inputOf(auto(4), incomplete).Figures.Measured())
}

func TestNothingChangesWhileAPartitionIsBusy(t *testing.T) {
	resharding := measuredShards(4, 100)
	snapshots.AddPartition(&resharding, 5, 2, 1, fixtures.Time)
	assert.True(t, inputOf(auto(4), resharding).Busy)
	rolling := measuredShards(4, 100)
	rolling.Deployments[0].Status.UpdatedReplicas = 0
	assert.True(t, inputOf(auto(4), rolling).Busy)
	waiting := measuredShards(4, 100)
	waiting.Outdated = sets.New(v1alpha1.Shard{KSMScale: "main", ID: 3, Total: 4})
	assert.True(t, inputOf(auto(4), waiting).Busy, "a shard waits for its turn")
	waiting.Deployment(v1alpha1.Shard{KSMScale: "main", ID: 3, Total: 4}).Spec.Paused = true
	assert.False(t, inputOf(auto(4), waiting).Busy, "a pause may last for months")
	rolling.Deployments[0].Spec.Paused = true
	assert.False(t, inputOf(auto(4), rolling).Busy, "also in a rollout")
	scaled := measuredShards(4, 100)
	scaled.Deployments[0].Generation++
	assert.False(t, inputOf(auto(4), scaled).Busy, "an autoscaler has changed replicas")
	assert.True(t, inputOf(auto(4), scaled).Unobserved)
	planned := plans.New(auto(4), scaling.Cluster{Nodes: 1}, fixtures.Time)
	assert.True(t, SizingInput(planned, measuredShards(4, 100), true).Busy, "a new leader")
	assert.False(t, SizingInput(planned, observation.Snapshot{}, true).Busy, "a first recommendation does not wait")
}

// A new leader has no measurement when the user changes the number of shards, and finds a new partition when it has.
func TestTheFirstMeasuredPartitionCounts(t *testing.T) {
	snapshot := measuredShards(10, 500_000)
	snapshots.AddPartition(&snapshot, 3, 1, 1, fixtures.Time)
	fewer := fixtures.KSMScale(func(k *v1alpha1.KSMScale) {
		k.Status.ShardingStatus = &v1alpha1.ShardingStatus{TotalShards: 10}
		k.Status.Recommendation = &v1alpha1.Recommendation{Shards: 10, MemoryRequest: new(resource.MustParse("300Mi"))}
	})
	in := inputOf(fewer, snapshot)
	assert.True(t, in.Busy)
	assert.EqualValues(t, 10, in.Figures.Total)
	settings := sizing.DefaultSettings()
	next, _ := settings.Recommend(in, sizing.State{}, fixtures.Time)
	assert.Greater(t, next.MemoryRequestBytes, int64(1<<30), "one of three shards")
}

func TestKilledForMemory(t *testing.T) {
	killed := func(reason string) observation.Snapshot {
		snapshot := measuredShards(3, 1)
		snapshot.Pods[0].Spec.Containers = []corev1.Container{{Name: "kube-state-metrics", Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("300Mi")},
		}}}
		snapshot.Pods[0].Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: "kube-state-metrics", LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: reason}},
		}}
		return snapshot
	}
	assert.EqualValues(t, 300<<20, inputOf(auto(3), killed("OOMKilled")).Figures.KilledRequestBytes)
	assert.Zero(t, inputOf(auto(3), killed("Error")).Figures.KilledRequestBytes)
}

func TestBoundsOfTheSpec(t *testing.T) {
	bounded := auto(3, func(k *v1alpha1.KSMScale) {
		k.Spec.Sharding.Auto = &v1alpha1.AutoSharding{TargetSeriesPerShard: 5000, TargetScrapeBytes: 16 << 20, MinShards: 3, MaxShards: 20}
		k.Spec.AutoResources = &v1alpha1.AutoResources{HeadroomPercent: 50, MinMemory: new(resource.MustParse("100Mi")), MaxMemory: new(resource.MustParse("1Gi")), Limits: new(false)}
	})
	in := inputOf(bounded, observation.Snapshot{})
	assert.Equal(t, sizing.Bounds{MinShards: 3, MaxShards: 20, TargetSeries: 5000, TargetBytes: 16 << 20}, in.Bounds)
	assert.Equal(t, sizing.SizeBounds{HeadroomPercent: 50, MinMemoryBytes: 100 << 20, MaxMemoryBytes: 1 << 30, MinMilliCPU: sizing.DefaultMinMilliCPU}, in.Size)
	assert.EqualValues(t, 1, inputOf(fixtures.KSMScale(), observation.Snapshot{}).Bounds.MinShards, "one shard can be recommended where none is chosen by itself")
}

func TestRequestsInEffectCountIfTheStatusWasLost(t *testing.T) {
	snapshot := measuredShards(3, 1)
	snapshot.Deployments[0].Spec.Template.Spec.Containers = []corev1.Container{{Name: "kube-state-metrics", Resources: corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("300Mi"), corev1.ResourceCPU: resource.MustParse("200m")},
	}}}
	lost := auto(0, func(k *v1alpha1.KSMScale) { k.Spec.AutoResources = &v1alpha1.AutoResources{} })
	previous := inputOf(lost, snapshot).Previous
	assert.EqualValues(t, 300<<20, previous.MemoryRequestBytes)
	assert.EqualValues(t, 200, previous.MilliCPURequest)

	settings := sizing.DefaultSettings()
	unmeasured := snapshot
	unmeasured.Measurements = nil
	for _, observed := range []observation.Snapshot{unmeasured, snapshot} {
		in := inputOf(lost, observed)
		next, _ := settings.Recommend(in, sizing.State{}, fixtures.Time)
		recovered := WithRecommendation(lost, in, next)
		resources := objects.MonitorResources(recovered)
		assert.Equal(t, "300Mi", resources.Requests.Memory().String(), "pods keep their size")
		assert.Equal(t, "200m", resources.Requests.Cpu().String())
		lost.Status.Recommendation = recovered.Status.Recommendation
	}
	assert.Contains(t, lost.Status.Recommendation.Message, "measured")
	assert.EqualValues(t, 3, lost.Status.Recommendation.Series)
	lost.Status.Recommendation = nil

	set := lost.DeepCopy()
	set.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("300Mi")}
	assert.Zero(t, inputOf(set, unmeasured).Previous.MemoryRequestBytes, "spec.resources has this request")
}

// The number of shards is still to be chosen, and the pods of the new partition get the size that is known.
func TestRequestsInEffectCountBeforeTheNumberIsChosen(t *testing.T) {
	snapshot := measuredShards(1, 1)
	snapshot.Measurements = nil
	snapshot.Deployments[0].Spec.Template.Spec.Containers = []corev1.Container{{Name: "kube-state-metrics", Resources: corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("300Mi")},
	}}}
	lost := auto(0, func(k *v1alpha1.KSMScale) { k.Spec.AutoResources = &v1alpha1.AutoResources{} })
	in := inputOf(lost, snapshot)
	next, _ := sizing.DefaultSettings().Recommend(in, sizing.State{}, fixtures.Time)
	require.Zero(t, next.Shards)
	recorded := WithRecommendation(lost, in, next)
	resources := objects.MonitorResources(recorded)
	assert.Equal(t, "300Mi", resources.Requests.Memory().String())
	assert.EqualValues(t, 3, recorded.TotalShards(), "spec.sharding.shardCount")
}

// A recommendation survives the way into the status and out of it, so it changes by steps only.
func TestTheStatusKeepsARecommendation(t *testing.T) {
	snapshot := measuredShards(4, 300_000)
	in := inputOf(auto(4), snapshot)
	settings := sizing.DefaultSettings()
	next, _ := settings.Recommend(in, sizing.State{}, fixtures.Time)
	recorded := WithRecommendation(auto(4), in, next)
	assert.EqualValues(t, 4, recorded.TotalShards(), "ten minutes have not passed")
	assert.EqualValues(t, 1_200_000, recorded.Status.Recommendation.Series)
	assert.Equal(t, next, inputOf(recorded, snapshot).Previous)

	in = inputOf(recorded, measuredShards(4, 310_000))
	same, _ := settings.Recommend(in, sizing.State{}, fixtures.Time)
	assert.Equal(t, recorded.Status, WithRecommendation(recorded, in, same).Status, "the figures of the last step stay")

	// Other nodes change the advice while no gate has measured anything yet.
	unmeasured := snapshot
	unmeasured.Measurements = nil
	in = inputOf(recorded, unmeasured)
	in.CalculatedReplicas = 4
	advised, _ := settings.Recommend(in, sizing.State{}, fixtures.Time)
	recommendation := WithRecommendation(recorded, in, advised).Status.Recommendation
	assert.NotEqual(t, recorded.Status.Recommendation.ReplicaAdvice, recommendation.ReplicaAdvice, "it is not the previous one")
	assert.Equal(t, recorded.Status.Recommendation.Message, recommendation.Message)
	assert.EqualValues(t, 1_200_000, recommendation.Series, "the series of the message")
}

func TestARecommendationAppliesTheNumberOnRequestOnly(t *testing.T) {
	next := sizing.Recommendation{Shards: 7, Basis: "measured"}
	applied := WithRecommendation(auto(4), sizing.Input{}, next)
	assert.EqualValues(t, 7, applied.TotalShards())
	recommended := WithRecommendation(fixtures.KSMScale(), sizing.Input{}, next)
	assert.EqualValues(t, 3, recommended.TotalShards())
	assert.Nil(t, recommended.Status.ShardingStatus)
	assert.Nil(t, WithRecommendation(fixtures.KSMScale(), sizing.Input{}, sizing.Recommendation{Shards: 3}).Status.Recommendation, "there are no figures")
	assert.NotNil(t, recommended.Status.Recommendation)
}
