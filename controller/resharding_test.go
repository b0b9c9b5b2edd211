package controller

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	clocktesting "k8s.io/utils/clock/testing"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/plans"
	"github.com/example/ksmscale/scaling"
)

// partition adds shards 0 to made-1 of a partition to what is observed, each with pods that are ready since then, and a Service
// that is scraped.
func partition(observed *observed, total, made int32, pods int, since time.Time) {
	for id := range made {
		shard := v1alpha1.Shard{KSMScale: "main", ID: id, Total: total}
		observed.deployments = append(observed.deployments, appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Name: shard.Name(), Labels: shard.Selector()},
			Spec:       appsv1.DeploymentSpec{Replicas: new(int32(pods))},
			Status:     appsv1.DeploymentStatus{Replicas: int32(pods), UpdatedReplicas: int32(pods)},
		})
		observed.services = append(observed.services, corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: shard.Name(), Labels: shard.Selector()}})
		for i := range pods {
			observed.pods = append(observed.pods, readyPod(shard, i, since))
		}
	}
}

func readyPod(shard v1alpha1.Shard, number int, since time.Time) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", shard.Name(), number), Labels: shard.Selector()},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{
			{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(since)},
		}},
	}
}

// retire has the Services of shards of three not be scraped since then.
func retire(observed *observed, since time.Time) {
	for i := range observed.services {
		service := &observed.services[i]
		if total, _ := partitionOf(service.Labels); total == 3 {
			service.Labels[v1alpha1.LabelRetired] = "true"
			service.Annotations = map[string]string{v1alpha1.AnnotationRetiredAt: since.Format(time.RFC3339)}
		}
	}
}

func sharded(total int32) *v1alpha1.KSMScale {
	return ksmScaleWith(func(k *v1alpha1.KSMScale) {
		k.Spec.Sharding.Enabled, k.Spec.Sharding.ShardCount = total > 1, total
	})
}

func TestReshard(t *testing.T) {
	long, short := testTime.Add(-time.Hour), testTime.Add(-20*time.Second)
	for _, test := range []struct {
		name    string
		wanted  int32
		nodes   int
		there   func(*observed)
		applied int
		kept    []int32
		retired []int32
		waits   string
		settled time.Duration
	}{
		{name: "the first time, all shards at once", wanted: 3, there: func(*observed) {}, applied: 3, kept: []int32{3}},
		{name: "nothing changes", wanted: 3, there: func(o *observed) { partition(o, 3, 3, 1, long) }, applied: 3, kept: []int32{3}},
		{
			name: "the first new shard", wanted: 5, there: func(o *observed) { partition(o, 3, 3, 1, long) },
			applied: 1, kept: []int32{3, 5}, waits: "shard 0 of 5 to be created",
		},
		{
			name: "the next one once it is ready", wanted: 5, there: func(o *observed) { partition(o, 3, 3, 1, long); partition(o, 5, 1, 1, short) },
			applied: 2, kept: []int32{3, 5}, waits: "shard 1 of 5 to be created",
		},
		{
			name: "and not before", wanted: 5, there: func(o *observed) { partition(o, 3, 3, 1, long); partition(o, 5, 1, 0, short) },
			applied: 1, kept: []int32{3, 5}, waits: "shard 0 of 5 to have 1 ready pod, and it has 0",
		},
		{
			name: "all are ready, but not for long enough", wanted: 5, there: func(o *observed) { partition(o, 3, 3, 1, long); partition(o, 5, 5, 1, short) },
			applied: 5, kept: []int32{3, 5}, waits: "every shard of 5 to have been ready for two scrape intervals, 1m0s", settled: 40 * time.Second,
		},
		{
			name: "for long enough", wanted: 5, there: func(o *observed) { partition(o, 3, 3, 1, long); partition(o, 5, 5, 1, long) },
			applied: 5, kept: []int32{3, 5}, retired: []int32{3}, settled: 15 * time.Second,
		},
		{
			name: "Prometheus is about to notice", wanted: 5, there: func(o *observed) {
				partition(o, 3, 3, 1, long)
				partition(o, 5, 5, 1, long)
				retire(o, testTime.Add(-14*time.Second))
			},
			applied: 5, kept: []int32{3, 5}, retired: []int32{3}, settled: time.Second,
		},
		{
			name: "it has noticed", wanted: 5, there: func(o *observed) {
				partition(o, 3, 3, 1, long)
				partition(o, 5, 5, 1, long)
				retire(o, testTime.Add(-15*time.Second))
			},
			applied: 5, kept: []int32{5},
		},
		{
			name: "one of the old Services is scraped still", wanted: 5, there: func(o *observed) {
				partition(o, 3, 3, 1, long)
				partition(o, 5, 5, 1, long)
				retire(o, long)
				delete(o.services[1].Labels, v1alpha1.LabelRetired)
			},
			applied: 5, kept: []int32{3, 5}, retired: []int32{3}, settled: 15 * time.Second,
		},
		{
			name: "another controller's clock was ahead", wanted: 5, there: func(o *observed) {
				partition(o, 3, 3, 1, long)
				partition(o, 5, 5, 1, long)
				retire(o, testTime.Add(time.Hour))
			},
			applied: 5, kept: []int32{3, 5}, retired: []int32{3}, settled: 15 * time.Second,
		},
		{
			name: "a new shard loses its pod meanwhile, and the old ones are needed", wanted: 5, there: func(o *observed) {
				partition(o, 3, 3, 1, long)
				partition(o, 5, 5, 1, long)
				o.pods = o.pods[:7]
				retire(o, testTime.Add(-14*time.Second))
			},
			applied: 5, kept: []int32{3, 5}, waits: "shard 4 of 5 to have 1 ready pod, and it has 0",
		},
		{
			name: "fewer replicas than are planned", wanted: 2, nodes: 60, there: func(o *observed) { partition(o, 3, 3, 2, long); partition(o, 2, 2, 1, long) },
			applied: 2, kept: []int32{2, 3}, waits: "shard 0 of 2 to have 2 ready pods, and it has 1",
		},
		{
			name: "sharding off", wanted: 1, there: func(o *observed) { partition(o, 3, 3, 1, long) },
			applied: 1, kept: []int32{1, 3}, waits: "shard 0 of 1 to be created",
		},
		{
			name: "back, before it was done", wanted: 3, there: func(o *observed) { partition(o, 3, 3, 1, long); partition(o, 5, 2, 1, short) },
			applied: 3, kept: []int32{3, 5}, retired: []int32{5}, settled: 15 * time.Second,
		},
		{
			name: "to yet another number", wanted: 4, there: func(o *observed) { partition(o, 3, 3, 1, long); partition(o, 5, 2, 1, short) },
			applied: 1, kept: []int32{3, 4, 5}, retired: []int32{5}, waits: "shard 0 of 4 to be created", settled: 15 * time.Second,
		},
		{
			name: "a rollout of the new shards", wanted: 5, there: func(o *observed) {
				partition(o, 3, 3, 1, long)
				partition(o, 5, 5, 1, long)
				o.deployments[7].Status.UpdatedReplicas = 0
			},
			applied: 5, kept: []int32{3, 5}, waits: "shard 4 of 5 to replace its pods",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var there observed
			test.there(&there)
			planned := plans.New(sharded(test.wanted), scaling.Cluster{Nodes: max(test.nodes, 15)}, testTime)
			is := reshard(planned, there, testTime)
			assert.Len(t, is.apply, test.applied)
			assert.ElementsMatch(t, test.kept, is.keep.UnsortedList())
			assert.ElementsMatch(t, test.retired, is.retired.UnsortedList())
			assert.Equal(t, test.waits, is.waits)
			assert.Equal(t, test.settled, is.settled)
		})
	}
}

// Who scales may stop below what is planned, and would never get there.
func TestReshardingIsContentWithWhatIsTolerated(t *testing.T) {
	tolerance := func(tolerance string) *v1alpha1.AutoscalingConfig {
		return &v1alpha1.AutoscalingConfig{Behavior: &v1alpha1.ScalingBehavior{ScaleUp: &v1alpha1.ScalingRules{Tolerance: new(resource.MustParse(tolerance))}}}
	}
	dropped := []autoscalingv2.HorizontalPodAutoscaler{{}}
	for _, test := range []struct {
		name        string
		autoscaling *v1alpha1.AutoscalingConfig
		autoscalers []autoscalingv2.HorizontalPodAutoscaler
		pods        int
		waits       string
	}{
		{name: "nothing", pods: 10, waits: "shard 0 of 2 to have 11 ready pods, and it has 10"},
		{name: "a tenth", autoscaling: tolerance("0.1"), pods: 10},
		{name: "a tenth, and a fifth is missing", autoscaling: tolerance("0.1"), pods: 9, waits: "shard 0 of 2 to have 11 ready pods, and it has 9"},
		{name: "the default of an API server that drops ours", autoscalers: dropped, pods: 10},
		{name: "no more than that default", autoscaling: tolerance("0.5"), autoscalers: dropped, pods: 8, waits: "shard 0 of 2 to have 11 ready pods, and it has 8"},
	} {
		t.Run(test.name, func(t *testing.T) {
			there := observed{autoscalers: test.autoscalers}
			partition(&there, 3, 3, 1, testTime.Add(-time.Hour))
			partition(&there, 2, 2, test.pods, testTime.Add(-time.Hour))
			wanted := sharded(2)
			wanted.Spec.Autoscaling = test.autoscaling
			planned := plans.New(wanted, scaling.Cluster{Nodes: 22 * 15}, testTime)
			require.EqualValues(t, 11, planned.Shards[0].Replicas)
			assert.Equal(t, test.waits, reshard(targets(planned, there), there, testTime).waits)
		})
	}
}

// In mode None someone may set a shard to none.
func TestReshardingWaitsForAReadyPodOfAShardThatIsSetToNone(t *testing.T) {
	var there observed
	partition(&there, 3, 3, 1, testTime.Add(-time.Hour))
	partition(&there, 2, 2, 1, testTime.Add(-time.Second))
	planned := plans.New(sharded(2), scaling.Cluster{Nodes: 15}, testTime)
	planned.Shards[0].Replicas = 0
	assert.ElementsMatch(t, []int32{2, 3}, reshard(planned, there, testTime).keep.UnsortedList())
}

// Whatever the user wants in which order, in whichever mode, and however pods come and go: if some partition has a ready
// pod of each shard, some partition has one after what was decided, too.
func TestReshardingNeverUncoversAnObject(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := testTime
		var there observed
		partition(&there, 3, 3, 1, now)
		for range rapid.IntRange(1, 5).Draw(t, "changes of mind") {
			ksmScale := sharded(rapid.Int32Range(1, 6).Draw(t, "wanted"))
			ksmScale.Spec.Autoscaling = &v1alpha1.AutoscalingConfig{Mode: rapid.SampledFrom([]v1alpha1.AutoscalingMode{
				v1alpha1.ModeHorizontalPodAutoscaler, v1alpha1.ModeNone}).Draw(t, "mode")}
			nodes := rapid.IntRange(1, 200).Draw(t, "nodes")
			for range rapid.IntRange(0, 30).Draw(t, "reconciles") {
				now = now.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "seconds")) * time.Second)
				covered := coveredByAny(there)
				planned := plans.New(ksmScale, scaling.Cluster{Nodes: nodes}, now)
				is := reshard(targets(planned, there), there, now)
				requireUnscraped(t, there, is, now)
				obey(&there, is, planned.Total, now)
				require.Equal(t, covered, coveredByAny(there), "%d is wanted, %v is kept", ksmScale.Spec.TotalShards(), is.keep)
				podsComeAndGo(t, &there, now)
			}
		}
	})
}

// requireUnscraped requires that no Service is to be deleted that Prometheus may scrape still.
func requireUnscraped(t *rapid.T, there observed, is resharding, now time.Time) {
	for i := range there.services {
		service := &there.services[i]
		if total, _ := partitionOf(service.Labels); !is.keep.Has(total) {
			require.False(t, retiredAt(service).IsZero(), "%s is scraped", service.Name)
			require.GreaterOrEqual(t, now.Sub(retiredAt(service)), retireDelay, service.Name)
		}
	}
}

// obey makes and removes what was decided; new Deployments have no ready pod yet.
func obey(there *observed, is resharding, wanted int32, now time.Time) {
	var next observed
	for _, shard := range is.apply {
		if there.deployment(shard.Shard) == nil {
			next.deployments = append(next.deployments, appsv1.Deployment{
				ObjectMeta: metav1.ObjectMeta{Name: shard.Name(), Labels: shard.Selector()},
				Spec:       appsv1.DeploymentSpec{Replicas: new(shard.Replicas)},
			})
			next.services = append(next.services, corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: shard.Name(), Labels: shard.Selector()}})
		}
	}
	for _, service := range there.services {
		shard, _ := shardOf(service.Labels)
		if !is.keep.Has(shard.Total) {
			continue
		}
		metadata := metav1.ObjectMeta{Name: service.Name, Labels: shard.Selector()}
		if shard.Total != wanted && is.retired.Has(shard.Total) {
			metadata.Labels[v1alpha1.LabelRetired] = "true"
			metadata.Annotations = map[string]string{v1alpha1.AnnotationRetiredAt: retiredSince(&service, now).Format(time.RFC3339)}
		}
		next.services = append(next.services, corev1.Service{ObjectMeta: metadata})
	}
	for _, deployment := range there.deployments {
		if total, _ := partitionOf(deployment.Labels); is.keep.Has(total) {
			next.deployments = append(next.deployments, deployment)
		}
	}
	for _, pod := range there.pods {
		if total, _ := partitionOf(pod.Labels); is.keep.Has(total) {
			next.pods = append(next.pods, pod)
		}
	}
	*there = next
}

// podsComeAndGo has some Deployments, or none, get another ready pod or lose one.
func podsComeAndGo(t *rapid.T, there *observed, now time.Time) {
	for i := range there.deployments {
		deployment := &there.deployments[i]
		pods := int(deployment.Status.Replicas)
		switch rapid.SampledFrom([]string{"nothing", "gets ready", "gets ready", "dies"}).Draw(t, "a pod of "+deployment.Name) {
		case "gets ready":
			if pods < int(replicasOf(deployment)) {
				shard := v1alpha1.Shard{KSMScale: "main"}
				pod := readyPod(shard, pods, now)
				pod.Labels = deployment.Labels
				there.pods = append(there.pods, pod)
				deployment.Status.Replicas++
			}
		case "dies":
			if index := slices.IndexFunc(there.pods, func(pod corev1.Pod) bool { return maps.Equal(pod.Labels, deployment.Labels) }); index >= 0 {
				there.pods = slices.Delete(slices.Clone(there.pods), index, index+1)
				deployment.Status.Replicas--
			}
		}
		deployment.Status.UpdatedReplicas = deployment.Status.Replicas
	}
}

func coveredByAny(there observed) bool {
	// A partition that does not exist is wanted, so that any other will do.
	return coveredByOthers(plans.Planned{KSMScale: sharded(1)}, there)
}

func TestReshardingIsVisible(t *testing.T) {
	w := newWorld(func(w *world) {
		w.ksmScale.Spec.Sharding.ShardCount = 2
		partition(&w.observed, 2, 1, 0, testTime)
	})
	status := w.status()
	assert.Equal(t, v1alpha1.PhaseResharding, status.Phase)
	assert.Equal(t, []int32{2, 3}, status.ShardingStatus.Partitions)
	assert.EqualValues(t, 2, status.ShardingStatus.TotalShards)
	progressing := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionProgressing)
	assert.Equal(t, metav1.ConditionTrue, progressing.Status)
	assert.Equal(t, v1alpha1.ReasonResharding, progressing.Reason)
	assert.Equal(t, "Shards of 3 run beside those of 2, which wait for shard 0 of 2 to have 1 ready pod, and it has 0", progressing.Message)
	covered := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionCovered)
	assert.Equal(t, metav1.ConditionTrue, covered.Status, "by the shards from before")
	ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
	assert.Equal(t, v1alpha1.ReasonResharding, ready.Reason)

	t.Run("and that objects are missing is told first", func(t *testing.T) {
		w.observed.pods = w.observed.pods[1:]
		status := w.status()
		assert.Equal(t, v1alpha1.PhaseIncomplete, status.Phase)
		assert.True(t, meta.IsStatusConditionFalse(status.Conditions, v1alpha1.ConditionCovered))
	})
}

// Prometheus has to take a Service out of its targets before the Service is gone.
func TestServicesLeaveServiceDiscoveryBeforeTheyAreDeleted(t *testing.T) {
	r, _ := newReconciler(t, planner{nodes: 30}, nil)
	clock := clocktesting.NewFakePassiveClock(testTime)
	r.Clock = clock
	reshardTo := func(shards int32) {
		ksmScale := readMain(t, r)
		ksmScale.Spec.Sharding.ShardCount = shards
		require.NoError(t, r.Client.Update(t.Context(), ksmScale))
	}
	// reconciled has the totals of what is there, and of it the Services that are scraped.
	reconciled := func() (deployments, scraped []string, again time.Duration) {
		result, err := reconcileMain(t, r)
		require.NoError(t, err)
		var made appsv1.DeploymentList
		var services corev1.ServiceList
		selector, err := labels.Parse("ksmscale.example.com=main,!ksmscale.example.com/retired")
		require.NoError(t, err)
		require.NoError(t, r.Client.List(t.Context(), &made))
		require.NoError(t, r.Client.List(t.Context(), &services, client.MatchingLabelsSelector{Selector: selector}))
		for i := range made.Items {
			deployments = append(deployments, made.Items[i].Labels["total-shards"])
		}
		for i := range services.Items {
			scraped = append(scraped, services.Items[i].Labels["total-shards"])
		}
		slices.Sort(deployments)
		slices.Sort(scraped)
		return deployments, scraped, result.RequeueAfter
	}
	haveReady := func(total int32) {
		for id := range total {
			pod := readyPod(v1alpha1.Shard{KSMScale: "main", ID: id, Total: total}, 0, testTime.Add(-time.Hour))
			pod.Namespace = "monitoring"
			require.NoError(t, r.Client.Create(t.Context(), &pod))
		}
	}
	reconciled()
	haveReady(3)
	haveReady(2)
	reshardTo(2)
	deployments, scraped, _ := reconciled()
	// The first new shard's Deployment is there, and none has been seen.
	assert.Equal(t, []string{"2", "3", "3", "3"}, deployments)
	assert.Equal(t, []string{"2", "3", "3", "3"}, scraped)
	reconciled()
	deployments, scraped, again := reconciled()
	assert.Equal(t, []string{"2", "2", "3", "3", "3"}, deployments)
	assert.Equal(t, []string{"2", "2"}, scraped)
	assert.Equal(t, retireDelay, again)

	clock.SetTime(testTime.Add(retireDelay - time.Second))
	deployments, scraped, again = reconciled()
	assert.Len(t, deployments, 5, "Prometheus may not have noticed")
	assert.Len(t, scraped, 2)
	assert.Equal(t, time.Second, again)

	t.Run("and come back if they are wanted again", func(t *testing.T) {
		reshardTo(3)
		deployments, scraped, _ := reconciled()
		assert.Len(t, deployments, 5)
		assert.Equal(t, []string{"3", "3", "3"}, scraped)
		reshardTo(2)
		deployments, scraped, again = reconciled()
		assert.Len(t, deployments, 5)
		assert.Equal(t, []string{"2", "2"}, scraped)
		assert.Equal(t, retireDelay, again, "from then on")
	})

	clock.SetTime(testTime.Add(2 * retireDelay))
	deployments, scraped, again = reconciled()
	assert.Equal(t, []string{"2", "2"}, deployments)
	assert.Equal(t, []string{"2", "2"}, scraped)
	assert.Zero(t, again)
}

// Without its Service nobody scrapes a shard, however ready its pods are.
func TestShardsAreScrapedUntilOthersHaveServices(t *testing.T) {
	r, _ := newReconciler(t, planner{nodes: 30}, func(kind, name string) error {
		if kind == "Service" && strings.HasSuffix(name, "-of-2") {
			return errors.New("exceeded quota")
		}
		return nil
	})
	_, err := reconcileMain(t, r)
	require.NoError(t, err)
	for _, total := range []int32{2, 3} {
		for id := range total {
			pod := readyPod(v1alpha1.Shard{KSMScale: "main", ID: id, Total: total}, 0, testTime.Add(-time.Hour))
			pod.Namespace = "monitoring"
			require.NoError(t, r.Client.Create(t.Context(), &pod))
		}
	}
	ksmScale := readMain(t, r)
	ksmScale.Spec.Sharding.ShardCount = 2
	require.NoError(t, r.Client.Update(t.Context(), ksmScale))
	for range 5 {
		_, err = reconcileMain(t, r)
		require.ErrorContains(t, err, "exceeded quota")
	}
	var services corev1.ServiceList
	require.NoError(t, r.Client.List(t.Context(), &services))
	require.Len(t, services.Items, 3)
	for i := range services.Items {
		assert.NotContains(t, services.Items[i].Labels, v1alpha1.LabelRetired, services.Items[i].Name)
	}
}
