package controller

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/sets"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/completeness"
	"github.com/example/ksmscale/controller/fixtures"
	"github.com/example/ksmscale/controller/objectcounts"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/sizing"
)

// measured is what the gates of a KSMScale measure: all shards of a partition are as large, and the series of all are constant.
type measured struct{ series, memory int64 }

func (m *measured) Of(ksmScale string) map[v1alpha1.Shard]observation.Measurement {
	shards := map[v1alpha1.Shard]observation.Measurement{}
	for total := int32(1); total <= 10 && m.series > 0; total++ {
		for id := range total {
			shards[v1alpha1.Shard{KSMScale: ksmScale, ID: id, Total: total}] = observation.Measurement{Series: m.series / int64(total), PeakMemoryBytes: m.memory}
		}
	}
	return shards
}

func (m *measured) Completeness(string, int32) completeness.Result { return completeness.Result{} }

type counted map[string]int64

func (c counted) Count(_ context.Context, resources []string) map[string]int64 {
	counts := map[string]int64{}
	for _, resource := range resources {
		counts[resource] = objectcounts.NotCounted
		if count, ok := c[resource]; ok {
			counts[resource] = count
		}
	}
	return counts
}

// sizingReconciler is a reconciler with figures, and a clock that starts after the grace of a new leader.
func sizingReconciler(t *testing.T, figures *measured, override func(*v1alpha1.KSMScaleSpec)) (*Reconciler, *clocktesting.FakePassiveClock) {
	t.Helper()
	r, _ := newReconciler(t, planner{nodes: 800}, nil)
	clock := clocktesting.NewFakePassiveClock(fixtures.Time)
	settings := sizing.DefaultSettings()
	r.Clock, r.Sizing = clock, Sizing{Settings: &settings, Measurements: figures}
	ksmScale := readMain(t, r)
	override(&ksmScale.Spec)
	require.NoError(t, r.Client.Update(t.Context(), ksmScale))
	return r, clock
}

func autoSharding(spec *v1alpha1.KSMScaleSpec) {
	spec.Sharding.Auto = &v1alpha1.AutoSharding{TargetSeriesPerShard: 250_000, MinShards: 2, MaxShards: 10}
}

func totalsOf(t *testing.T, r *Reconciler) []int32 {
	t.Helper()
	var deployments appsv1.DeploymentList
	require.NoError(t, r.Client.List(t.Context(), &deployments, client.InNamespace("monitoring")))
	return sets.List(observation.Partitions(deployments.Items))
}

func reconcileFor(t *testing.T, r *Reconciler, clock *clocktesting.FakePassiveClock, duration time.Duration) *v1alpha1.KSMScale {
	t.Helper()
	for range int(duration / time.Minute) {
		clock.SetTime(clock.Now().Add(time.Minute))
		_, err := reconcileMain(t, r)
		require.NoError(t, err)
	}
	return readMain(t, r)
}

func TestARecommendationChangesNothingByItself(t *testing.T) {
	figures := &measured{series: 3_000_000, memory: 500 << 20}
	r, clock := sizingReconciler(t, figures, func(*v1alpha1.KSMScaleSpec) {})
	ksmScale := reconcileFor(t, r, clock, 30*time.Minute)
	recommendation := ksmScale.Status.Recommendation
	require.NotNil(t, recommendation)
	assert.EqualValues(t, 10, recommendation.Shards, "sixteen would be needed")
	assert.EqualValues(t, 2, recommendation.ReplicasPerShard)
	assert.Contains(t, recommendation.ReplicaAdvice, "54 calculated from 800 nodes")
	assert.Equal(t, []int32{3}, totalsOf(t, r))
	assert.EqualValues(t, 3, ksmScale.Status.ShardingStatus.TotalShards)

	version := ksmScale.ResourceVersion
	figures.series += 1000
	assert.Equal(t, version, reconcileFor(t, r, clock, 30*time.Minute).ResourceVersion, "a change of less than a step is not written")
}

func TestTheNumberOfShardsFollows(t *testing.T) {
	figures := &measured{series: 500_000, memory: 500 << 20}
	r, clock := sizingReconciler(t, figures, autoSharding)
	r.Sizing.Counter = counted{"pods": 20_000, "nodes": 500}
	ksmScale := reconcileFor(t, r, clock, time.Minute)
	first := ksmScale.Status.ShardingStatus.TotalShards
	assert.Equal(t, []int32{first}, totalsOf(t, r))
	assert.Contains(t, ksmScale.Status.Recommendation.Message, "estimated from counts of objects")
	assert.Greater(t, first, int32(2), "from the counts of objects")
	assert.Greater(t, ksmScale.Status.Recommendation.Series, int64(500_000))
}

func TestTheNumberIsWrittenBeforeObjectsOfThePartition(t *testing.T) {
	var r *Reconciler
	var totalsAtCreation []int32
	r, _ = newReconciler(t, planner{nodes: 800}, func(kind, _ string) error {
		if kind == "Deployment" && r != nil {
			totalsAtCreation = append(totalsAtCreation, readMain(t, r).TotalShards())
		}
		return nil
	})
	settings := sizing.DefaultSettings()
	r.Sizing = Sizing{Settings: &settings, Measurements: &measured{}, Counter: counted{"pods": 60_000}}
	ksmScale := readMain(t, r)
	autoSharding(&ksmScale.Spec)
	require.NoError(t, r.Client.Update(t.Context(), ksmScale))
	_, err := reconcileMain(t, r)
	require.NoError(t, err)
	chosen := readMain(t, r).TotalShards()
	require.Greater(t, chosen, int32(3))
	require.Len(t, totalsAtCreation, int(chosen))
	for _, total := range totalsAtCreation {
		assert.Equal(t, chosen, total, "the adapter plans from the status")
	}
}

// A leader may end before it has written the status, and the next one cannot count, because pods run already.
func TestTheFirstSizeIsWrittenBeforeObjects(t *testing.T) {
	var r *Reconciler
	var atCreation []*v1alpha1.Recommendation
	r, _ = newReconciler(t, planner{nodes: 800}, func(kind, _ string) error {
		if kind == "Deployment" && r != nil {
			atCreation = append(atCreation, readMain(t, r).Status.Recommendation)
		}
		return nil
	})
	settings := sizing.DefaultSettings()
	r.Sizing = Sizing{Settings: &settings, Measurements: &measured{}, Counter: counted{"pods": 20_000}}
	ksmScale := readMain(t, r)
	ksmScale.Spec.AutoResources = &v1alpha1.AutoResources{HeadroomPercent: 25}
	require.NoError(t, r.Client.Update(t.Context(), ksmScale))
	_, err := reconcileMain(t, r)
	require.NoError(t, err)
	require.Len(t, atCreation, 3)
	for _, recommendation := range atCreation {
		require.NotNil(t, recommendation)
		assert.Equal(t, readMain(t, r).Status.Recommendation, recommendation)
	}
}

// refuseStatus makes writes of the status fail until the returned function is called.
func refuseStatus(t *testing.T, r *Reconciler) (allow func()) {
	t.Helper()
	live, ok := r.Client.(client.WithWatch)
	require.True(t, ok)
	r.Client = interceptor.NewClient(live, interceptor.Funcs{
		SubResourceUpdate: func(context.Context, client.Client, string, client.Object, ...client.SubResourceUpdateOption) error {
			return apierrors.NewConflict(v1alpha1.GroupVersion.WithResource("ksmscales").GroupResource(), "main", errors.New("it has changed"))
		},
	})
	return func() { r.Client = live }
}

func memoryRequest(t *testing.T, r *Reconciler) string {
	t.Helper()
	var deployment appsv1.Deployment
	require.NoError(t, r.Client.Get(t.Context(), client.ObjectKey{Namespace: "monitoring", Name: fixtures.Shard(0).Name()}, &deployment))
	return deployment.Spec.Template.Spec.Containers[0].Resources.Requests.Memory().String()
}

func TestNoObjectHasASizeThatTheStatusLacks(t *testing.T) {
	figures := &measured{series: 500_000, memory: 300 << 20}
	r, clock := sizingReconciler(t, figures, func(spec *v1alpha1.KSMScaleSpec) { spec.AutoResources = &v1alpha1.AutoResources{HeadroomPercent: 25} })
	reconcileFor(t, r, clock, 5*time.Minute)
	before := memoryRequest(t, r)
	require.Equal(t, before, readMain(t, r).Status.Recommendation.MemoryRequest.String())

	figures.memory *= 2
	allow := refuseStatus(t, r)
	clock.SetTime(clock.Now().Add(time.Minute))
	_, err := reconcileMain(t, r)
	require.ErrorContains(t, err, "write the recommended sizes")
	assert.Equal(t, before, memoryRequest(t, r))
	allow()
	recommended := reconcileFor(t, r, clock, time.Minute).Status.Recommendation.MemoryRequest.String()
	assert.NotEqual(t, before, recommended)
	assert.Equal(t, recommended, memoryRequest(t, r))
}

// A number that falls has waited for a day.
func TestANumberThatCouldNotBeWrittenIsStillDue(t *testing.T) {
	figures := &measured{}
	r, clock := sizingReconciler(t, figures, autoSharding)
	r.Sizing.Counter = counted{"pods": 60_000}
	before := reconcileFor(t, r, clock, time.Minute).TotalShards()
	require.Greater(t, before, int32(3))
	figures.series, figures.memory = 200_000, 300<<20
	require.Equal(t, before, reconcileFor(t, r, clock, 30*time.Minute).TotalShards())

	allow := refuseStatus(t, r)
	clock.SetTime(clock.Now().Add(24 * time.Hour))
	_, err := reconcileMain(t, r)
	require.ErrorContains(t, err, "write the recommended sizes")
	allow()
	assert.EqualValues(t, 2, reconcileFor(t, r, clock, time.Minute).TotalShards())
}

// Without spec.sharding.auto, the first pods are those of shardCount, whatever is recommended.
func TestTheFirstSizeIsForTheShardsThatAreCreated(t *testing.T) {
	requests := map[int32]resource.Quantity{}
	for _, count := range []int32{1, 3, 9} {
		r, clock := sizingReconciler(t, &measured{}, func(spec *v1alpha1.KSMScaleSpec) {
			spec.AutoResources = &v1alpha1.AutoResources{HeadroomPercent: 25}
			spec.Sharding.Enabled, spec.Sharding.ShardCount = count > 1, max(count, 2)
		})
		r.Sizing.Counter = counted{"pods": 20_000}
		reconcileFor(t, r, clock, time.Minute)
		var deployments appsv1.DeploymentList
		require.NoError(t, r.Client.List(t.Context(), &deployments))
		require.Len(t, deployments.Items, int(count))
		requests[count] = *deployments.Items[0].Spec.Template.Spec.Containers[0].Resources.Requests.Memory()
	}
	for _, pair := range [][2]int32{{1, 3}, {3, 9}} {
		larger, smaller := requests[pair[0]], requests[pair[1]]
		assert.Positive(t, larger.Cmp(smaller), "%d shards request %s, and %d request %s", pair[0], &larger, pair[1], &smaller)
	}
}

// The counts are of the whole cluster.
func TestObjectsOfSomeNamespacesAreNotEstimated(t *testing.T) {
	r, clock := sizingReconciler(t, &measured{}, func(spec *v1alpha1.KSMScaleSpec) {
		autoSharding(spec)
		spec.Metrics.Namespaces = []string{"team"}
	})
	r.Sizing.Counter = counted{"pods": 150_000}
	assert.Nil(t, reconcileFor(t, r, clock, time.Minute).Status.Recommendation)
	assert.Equal(t, []int32{3}, totalsOf(t, r), "spec.sharding.shardCount")
}

func TestAutoShardingBeginsWithTheRecommendation(t *testing.T) {
	for target, want := range map[int64]int32{250_000: 4, 150_000: 6, 1_000_000: 2} {
		figures := &measured{series: 600_000, memory: 300 << 20}
		r, clock := sizingReconciler(t, figures, func(*v1alpha1.KSMScaleSpec) {})
		require.EqualValues(t, 4, reconcileFor(t, r, clock, 5*time.Minute).Status.Recommendation.Shards)
		require.Equal(t, []int32{3}, totalsOf(t, r))
		ksmScale := readMain(t, r)
		autoSharding(&ksmScale.Spec)
		ksmScale.Spec.Sharding.Auto.TargetSeriesPerShard = target
		require.NoError(t, r.Client.Update(t.Context(), ksmScale))
		figures.series = 0
		assert.EqualValues(t, 3, reconcileFor(t, r, clock, 5*time.Minute).TotalShards(), "a new leader has not measured yet")
		figures.series = 600_000
		assert.Equal(t, want, reconcileFor(t, r, clock, time.Minute).TotalShards(), "with the targets of the spec")
		assert.Equal(t, sets.List(sets.New(3, want)), totalsOf(t, r), "a reshard is under way")
	}
}

// Such as after kubectl delete --cascade=orphan: the new KSMScale has no status, and no gate has been read.
func TestSizesAreKeptIfTheStatusIsLost(t *testing.T) {
	figures := &measured{series: 500_000, memory: 300 << 20}
	r, clock := sizingReconciler(t, figures, func(spec *v1alpha1.KSMScaleSpec) { spec.AutoResources = &v1alpha1.AutoResources{HeadroomPercent: 25} })
	reconcileFor(t, r, clock, 5*time.Minute)
	before := memoryRequest(t, r)
	require.NotEqual(t, "0", before)
	series := figures.series
	for _, figures.series = range []int64{0, series} {
		lost := readMain(t, r)
		lost.Status = v1alpha1.KSMScaleStatus{}
		require.NoError(t, r.Client.Status().Update(t.Context(), lost))
		reconcileFor(t, r, clock, 3*time.Minute)
		assert.Equal(t, before, memoryRequest(t, r), "%d series", figures.series)
	}
}

// The partition that serves has to last until the next one has taken over.
func TestAKillForMemoryDuringAReshard(t *testing.T) {
	figures := &measured{series: 500_000, memory: 300 << 20}
	r, clock := sizingReconciler(t, figures, func(spec *v1alpha1.KSMScaleSpec) {
		spec.AutoResources = &v1alpha1.AutoResources{HeadroomPercent: 25}
		spec.Template = &v1alpha1.PodTemplate{GoMemoryLimitPercent: 90}
	})
	reconcileFor(t, r, clock, 5*time.Minute)
	before := resource.MustParse(memoryRequest(t, r))
	ksmScale := readMain(t, r)
	ksmScale.Spec.Sharding.ShardCount = 5
	ksmScale.Spec.Template.Labels = map[string]v1alpha1.LabelValue{"team": "metrics"}
	require.NoError(t, r.Client.Update(t.Context(), ksmScale))
	reconcileFor(t, r, clock, time.Minute)
	require.Equal(t, []int32{3, 5}, totalsOf(t, r))
	require.Equal(t, before.String(), memoryRequest(t, r))

	killed := fixtures.Pod(0, "killed", func(pod *corev1.Pod) {
		fixtures.OwnedByDeployment(pod, fixtures.Shard(0))
		pod.Spec.Containers = []corev1.Container{{Name: "kube-state-metrics", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"memory": before}}}}
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: "kube-state-metrics", LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "OOMKilled"}},
		}}
	})
	require.NoError(t, r.Client.Create(t.Context(), &killed))
	reconcileFor(t, r, clock, time.Minute)
	after := resource.MustParse(memoryRequest(t, r))
	assert.Positive(t, after.Cmp(before), "from %s to %s", &before, &after)
	for id := range int32(3) {
		var deployment appsv1.Deployment
		require.NoError(t, r.Client.Get(t.Context(), client.ObjectKey{Namespace: "monitoring", Name: fixtures.Shard(id).Name()}, &deployment))
		assert.NotContains(t, deployment.Spec.Template.Labels, "team", "pods that serve keep the rest of their template")
		request := deployment.Spec.Template.Spec.Containers[0].Resources.Requests.Memory()
		assert.Equal(t, id == 0, request.Cmp(before) > 0, "shard %d requests %s", id, request)
		assert.NotEmpty(t, deployment.OwnerReferences)
		limit := deployment.Spec.Template.Spec.Containers[0].Resources.Limits.Memory().Value()
		assert.Contains(t, deployment.Spec.Template.Spec.Containers[0].Env,
			corev1.EnvVar{Name: "GOMEMLIMIT", Value: strconv.FormatInt(limit/100*90, 10)})
	}
}

func TestTheNumberOfAShardCountWithoutFigures(t *testing.T) {
	r, clock := sizingReconciler(t, &measured{}, autoSharding)
	ksmScale := reconcileFor(t, r, clock, time.Hour)
	assert.Nil(t, ksmScale.Status.Recommendation)
	assert.Equal(t, []int32{3}, totalsOf(t, r), "spec.sharding.shardCount")
}

func TestTheNumberIsKeptIfTheStatusIsLost(t *testing.T) {
	figures := &measured{}
	r, clock := sizingReconciler(t, figures, autoSharding)
	r.Sizing.Counter = counted{"pods": 60_000}
	chosen := reconcileFor(t, r, clock, time.Minute).TotalShards()
	require.NotEqualValues(t, 3, chosen)
	lost := readMain(t, r)
	lost.Status = v1alpha1.KSMScaleStatus{}
	require.NoError(t, r.Client.Status().Update(t.Context(), lost))
	assert.Equal(t, chosen, reconcileFor(t, r, clock, time.Minute).TotalShards())
	assert.Equal(t, []int32{chosen}, totalsOf(t, r))
}

func TestResourcesFollow(t *testing.T) {
	requestOf := func(t *testing.T, r *Reconciler) (memory string) {
		t.Helper()
		var deployment appsv1.Deployment
		require.NoError(t, r.Client.Get(t.Context(), client.ObjectKey{Namespace: "monitoring", Name: fixtures.Shard(0).Name()}, &deployment))
		resources := deployment.Spec.Template.Spec.Containers[0].Resources
		assert.Equal(t, 2*resources.Requests.Memory().Value(), resources.Limits.Memory().Value())
		return resources.Requests.Memory().String()
	}
	figures := &measured{}
	r, clock := sizingReconciler(t, figures, func(spec *v1alpha1.KSMScaleSpec) { spec.AutoResources = &v1alpha1.AutoResources{HeadroomPercent: 25} })
	r.Sizing.Counter = counted{"pods": 20_000}
	reconcileFor(t, r, clock, time.Minute)
	first := resource.MustParse(requestOf(t, r))
	assert.Positive(t, first.Value())
	assert.Equal(t, readMain(t, r).Status.Recommendation.MemoryRequest.String(), first.String())
}
