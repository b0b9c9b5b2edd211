package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/plans"
	"github.com/example/ksmscale/scaling"
)

// partition adds shards 0 to made-1 of a partition to what is observed, each with pods that are ready since then, and a Service
// that is scraped long since.
func partition(observed *observed, total, made int32, pods int, since time.Time) {
	for id := range made {
		shard := v1alpha1.Shard{KSMScale: "main", ID: id, Total: total}
		observed.deployments = append(observed.deployments, appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Name: shard.Name(), Labels: shard.Selector()},
			Spec:       appsv1.DeploymentSpec{Replicas: new(int32(pods))},
			Status:     appsv1.DeploymentStatus{Replicas: int32(pods), UpdatedReplicas: int32(pods), ReadyReplicas: int32(pods)},
		})
		observed.services = append(observed.services, serviceOf(shard, since.Add(-time.Hour), false))
		for i := range pods {
			observed.pods = append(observed.pods, readyPod(shard, i, since))
		}
	}
}

// serviceOf is a shard's Service, which is scraped, or retired, since then.
func serviceOf(shard v1alpha1.Shard, since time.Time, retired bool) corev1.Service {
	made := corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: shard.Name(), Labels: shard.Selector(), ManagedFields: []metav1.ManagedFieldsEntry{
		{Manager: "kubectl", Operation: metav1.ManagedFieldsOperationApply, Time: new(metav1.NewTime(testTime.AddDate(1, 0, 0)))},
		{Manager: FieldOwner, Operation: metav1.ManagedFieldsOperationUpdate, Time: new(metav1.NewTime(testTime.AddDate(1, 0, 0)))},
		{Manager: FieldOwner, Operation: metav1.ManagedFieldsOperationApply, Time: new(metav1.NewTime(since))},
	}}}
	if retired {
		made.Labels[v1alpha1.LabelRetired] = "true"
	}
	return made
}

func readyPod(shard v1alpha1.Shard, number int, since time.Time) corev1.Pod {
	pod := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", shard.Name(), number), Labels: shard.Selector()},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{
			{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(since)},
		}},
	}
	ownedByDeployment(&pod)
	return pod
}

// ownedByDeployment has a pod of a shard belong to the shard's Deployment.
func ownedByDeployment(pod *corev1.Pod) {
	const hash = "5d8f7c9b6d"
	shard, _ := shardOf(pod.Labels)
	pod.Namespace = "monitoring"
	pod.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: shard.Name() + "-" + hash, UID: "replica-set", Controller: new(true)}}
}

// retire has the Services of shards of three not be scraped since then.
func retire(observed *observed, since time.Time) { changeServices(observed, since, true) }

// rescrape has the Services of shards of three be scraped since then.
func rescrape(observed *observed, since time.Time) { changeServices(observed, since, false) }

func changeServices(observed *observed, since time.Time, retired bool) {
	observed.retired = map[string]time.Time{}
	for i := range observed.services {
		if shard, _ := shardOf(observed.services[i].Labels); shard.Total == 3 {
			observed.services[i] = serviceOf(shard, since, retired)
			if retired {
				observed.retired[shard.Name()] = since
			}
		}
	}
}

func sharded(total int32) *v1alpha1.KSMScale {
	return ksmScaleWith(func(k *v1alpha1.KSMScale) {
		k.Spec.Sharding.Enabled, k.Spec.Sharding.ShardCount = total > 1, total
	})
}

// nextStepOf describes what a decision awaits; empty if nothing.
func nextStepOf(decision Decision) string {
	awaited := decision.Awaited
	switch {
	case awaited == nil:
		return ""
	case awaited.Step == AwaitScrapes:
		return fmt.Sprintf("%s of all shards of %d for %s", awaited.Step, awaited.Shard.Total, awaited.ScrapedFor)
	case awaited.Step == AwaitReadyPods:
		return fmt.Sprintf("%s of shard %d of %d: %d of %d", awaited.Step, awaited.Shard.ID, awaited.Shard.Total, awaited.ReadyReplicas, awaited.NeededReplicas)
	default:
		return fmt.Sprintf("%s of shard %d of %d", awaited.Step, awaited.Shard.ID, awaited.Shard.Total)
	}
}

func TestDecide(t *testing.T) {
	long, short := testTime.Add(-time.Hour), testTime.Add(-20*time.Second)
	// strangers are ready pods that look like those of shard 4 of 5, whose Deployment has a number of its own.
	strangers := func(o *observed, count int, since time.Time) {
		for i := range count {
			o.pods = append(o.pods, readyPod(v1alpha1.Shard{KSMScale: "main", ID: 4, Total: 5}, 10+i, since))
		}
	}
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
			applied: 1, kept: []int32{3, 5}, waits: "Deployment of shard 0 of 5",
		},
		{
			name: "the next one once it is ready", wanted: 5, there: func(o *observed) { partition(o, 3, 3, 1, long); partition(o, 5, 1, 1, short) },
			applied: 2, kept: []int32{3, 5}, waits: "Deployment of shard 1 of 5",
		},
		{
			name: "and not before", wanted: 5, there: func(o *observed) { partition(o, 3, 3, 1, long); partition(o, 5, 1, 0, short) },
			applied: 1, kept: []int32{3, 5}, waits: "ReadyPods of shard 0 of 5: 0 of 1",
		},
		{
			name: "all are ready, but not for long enough", wanted: 5, there: func(o *observed) { partition(o, 3, 3, 1, long); partition(o, 5, 5, 1, short) },
			applied: 5, kept: []int32{3, 5}, waits: "Scrapes of all shards of 5 for 1m0s", settled: 40 * time.Second,
		},
		{
			name: "for long enough", wanted: 5, there: func(o *observed) { partition(o, 3, 3, 1, long); partition(o, 5, 5, 1, long) },
			applied: 5, kept: []int32{3, 5}, retired: []int32{3}, settled: 15 * time.Second,
		},
		{
			name: "a ready pod is not of the Deployment", wanted: 5, there: func(o *observed) {
				partition(o, 3, 3, 1, long)
				partition(o, 5, 4, 1, long)
				partition(o, 5, 5, 0, long)
				o.deployments = slices.Delete(o.deployments, 7, 11)
				o.services = slices.Delete(o.services, 7, 11)
				strangers(o, 1, long)
			},
			applied: 5, kept: []int32{3, 5}, waits: "ReadyPods of shard 4 of 5: 0 of 1",
		},
		{
			name: "pods that are ready for longer are not of the Deployment", wanted: 5, there: func(o *observed) {
				partition(o, 3, 3, 1, long)
				partition(o, 5, 5, 1, long)
				o.pods[7] = readyPod(v1alpha1.Shard{KSMScale: "main", ID: 4, Total: 5}, 0, short)
				strangers(o, 2, long)
			},
			applied: 5, kept: []int32{3, 5}, waits: "Scrapes of all shards of 5 for 1m0s", settled: 40 * time.Second,
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
				delete(o.retired, o.services[1].Name)
			},
			applied: 5, kept: []int32{3, 5}, retired: []int32{3}, settled: 15 * time.Second,
		},
		{
			name: "the API server's clock is ahead", wanted: 5, there: func(o *observed) {
				partition(o, 3, 3, 1, long)
				partition(o, 5, 5, 1, long)
				o.services[7] = serviceOf(v1alpha1.Shard{KSMScale: "main", ID: 4, Total: 5}, testTime.Add(5*time.Second), false)
			},
			applied: 5, kept: []int32{3, 5},
			waits: "Scrapes of all shards of 5 for 1m0s", settled: 80 * time.Second,
		},
		{
			name: "back, and Prometheus has been told to leave them out", wanted: 3, there: func(o *observed) {
				partition(o, 3, 3, 1, long)
				partition(o, 5, 5, 1, long)
				retire(o, testTime.Add(-time.Second))
			},
			applied: 1, kept: []int32{3, 5}, waits: "UnretiredService of shard 0 of 3",
		},
		{
			name: "back, and Prometheus may not have noticed", wanted: 3, there: func(o *observed) {
				partition(o, 3, 3, 1, long)
				partition(o, 5, 5, 1, long)
				rescrape(o, testTime.Add(-74*time.Second))
			},
			applied: 3, kept: []int32{3, 5},
			waits: "Scrapes of all shards of 3 for 1m0s", settled: time.Second,
		},
		{
			name: "back, and they are scraped again", wanted: 3, there: func(o *observed) {
				partition(o, 3, 3, 1, long)
				partition(o, 5, 5, 1, long)
				rescrape(o, testTime.Add(-75*time.Second))
			},
			applied: 3, kept: []int32{3, 5}, retired: []int32{5}, settled: 15 * time.Second,
		},
		{
			name: "a new shard loses its pod meanwhile, and the old ones are needed", wanted: 5, there: func(o *observed) {
				partition(o, 3, 3, 1, long)
				partition(o, 5, 5, 1, long)
				o.pods = o.pods[:7]
				retire(o, testTime.Add(-14*time.Second))
			},
			applied: 5, kept: []int32{3, 5}, waits: "ReadyPods of shard 4 of 5: 0 of 1",
		},
		{
			name: "fewer replicas than are planned", wanted: 2, nodes: 60, there: func(o *observed) { partition(o, 3, 3, 2, long); partition(o, 2, 2, 1, long) },
			applied: 2, kept: []int32{2, 3}, waits: "ReadyPods of shard 0 of 2: 1 of 2",
		},
		{
			name: "sharding off", wanted: 1, there: func(o *observed) { partition(o, 3, 3, 1, long) },
			applied: 1, kept: []int32{1, 3}, waits: "Deployment of shard 0 of 1",
		},
		{
			name: "back, before it was done", wanted: 3, there: func(o *observed) { partition(o, 3, 3, 1, long); partition(o, 5, 2, 1, short) },
			applied: 3, kept: []int32{3, 5}, retired: []int32{5}, settled: 15 * time.Second,
		},
		{
			name: "to yet another number", wanted: 4, there: func(o *observed) { partition(o, 3, 3, 1, long); partition(o, 5, 2, 1, short) },
			applied: 1, kept: []int32{3, 4, 5}, retired: []int32{5}, waits: "Deployment of shard 0 of 4", settled: 15 * time.Second,
		},
		{
			name: "a rollout of the new shards", wanted: 5, there: func(o *observed) {
				partition(o, 3, 3, 1, long)
				partition(o, 5, 5, 1, long)
				o.deployments[7].Status.UpdatedReplicas = 0
			},
			applied: 5, kept: []int32{3, 5}, waits: "Rollout of shard 4 of 5",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var there observed
			test.there(&there)
			planned := plans.New(sharded(test.wanted), scaling.Cluster{Nodes: max(test.nodes, 15)}, testTime)
			decision := Decide(planned, there, testTime)
			assert.Len(t, decision.Apply, test.applied)
			assert.ElementsMatch(t, test.kept, decision.Keep.UnsortedList())
			assert.ElementsMatch(t, test.retired, decision.Retired.UnsortedList())
			assert.Equal(t, test.waits, nextStepOf(decision))
			assert.Equal(t, test.settled, decision.RecheckAfter)
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
		{name: "nothing", pods: 10, waits: "ReadyPods of shard 0 of 2: 10 of 11"},
		{name: "a tenth", autoscaling: tolerance("0.1"), pods: 10},
		{name: "a tenth, and a fifth is missing", autoscaling: tolerance("0.1"), pods: 9, waits: "ReadyPods of shard 0 of 2: 9 of 11"},
		{name: "the default of an API server that drops ours", autoscalers: dropped, pods: 10},
		{name: "no more than that default", autoscaling: tolerance("0.5"), autoscalers: dropped, pods: 8, waits: "ReadyPods of shard 0 of 2: 8 of 11"},
	} {
		t.Run(test.name, func(t *testing.T) {
			there := observed{autoscalers: test.autoscalers}
			partition(&there, 3, 3, 1, testTime.Add(-time.Hour))
			partition(&there, 2, 2, test.pods, testTime.Add(-time.Hour))
			wanted := sharded(2)
			wanted.Spec.Autoscaling = test.autoscaling
			planned := plans.New(wanted, scaling.Cluster{Nodes: 22 * 15}, testTime)
			require.EqualValues(t, 11, planned.Shards[0].Replicas)
			assert.Equal(t, test.waits, nextStepOf(Decide(targets(planned, there), there, testTime)))
		})
	}
}

// The room that the last pods lack may be what the old partition takes.
func TestReshardingDoesNotWaitForPodsThatFitNowhere(t *testing.T) {
	long := testTime.Add(-time.Hour)
	// desired adds one Deployment of three replicas, of which that many are ready and that many find no node.
	desired := func(o *observed, ready, unschedulablePods int) {
		partition(o, 1, 1, ready, long)
		deployment := &o.deployments[len(o.deployments)-1]
		deployment.Spec.Replicas = new(int32(3))
		shard, _ := shardOf(deployment.Labels)
		for i := range unschedulablePods {
			pod := readyPod(shard, ready+i, long)
			pod.Status.Conditions = make([]corev1.PodCondition, 2)
			unschedulable(&pod)
			o.pods = append(o.pods, pod)
			deployment.Status.Replicas++
			deployment.Status.UpdatedReplicas++
			deployment.Status.UnavailableReplicas++
		}
	}
	for _, test := range []struct {
		name    string
		there   func(*observed)
		waits   string
		retired []int32
	}{
		{name: "one of three fits nowhere", there: func(o *observed) { desired(o, 2, 1) }, retired: []int32{3}},
		{name: "two of three", there: func(o *observed) { desired(o, 1, 2) }, retired: []int32{3}},
		{name: "none fits", there: func(o *observed) { desired(o, 0, 3) }, waits: "ReadyPods of shard 0 of 1: 0 of 1"},
		{name: "one fits nowhere, and one starts", there: func(o *observed) { desired(o, 1, 1) }, waits: "ReadyPods of shard 0 of 1: 1 of 2"},
		{
			name: "the first of a new template", there: func(o *observed) {
				desired(o, 3, 1)
				o.deployments[3].Status.UpdatedReplicas = 1
			},
			retired: []int32{3},
		},
		{
			name: "and one that starts", there: func(o *observed) {
				desired(o, 3, 0)
				o.deployments[3].Status.UpdatedReplicas = 1
			},
			waits: "Rollout of shard 0 of 1",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var there observed
			partition(&there, 3, 3, 2, long)
			test.there(&there)
			planned := plans.New(holding(sharded(1), there), scaling.Cluster{Nodes: 45}, testTime)
			decided := Decide(targets(planned, there), there, testTime)
			assert.Equal(t, test.waits, nextStepOf(decided))
			assert.ElementsMatch(t, test.retired, decided.Retired.UnsortedList())
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
	assert.ElementsMatch(t, []int32{2, 3}, Decide(planned, there, testTime).Keep.UnsortedList())
}

// Whatever the user wants in which order, in whichever mode, however pods and Services come and go, and whatever cannot be made:
// if Prometheus scrapes a ready pod of each shard of some partition, it does so after what was decided, too.
func TestReshardingNeverUncoversAnObject(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := testTime
		var there observed
		partition(&there, 3, 3, 1, now.Add(-time.Hour))
		if rapid.Bool().Draw(t, "taken over from") {
			retire(&there, now.Add(-time.Duration(rapid.IntRange(0, 20).Draw(t, "seconds ago"))*time.Second))
			partition(&there, 5, 5, 1, now.Add(-time.Hour))
		}
		var planned plans.Planned
		var seen retirements
		for range rapid.IntRange(1, 5).Draw(t, "changes of mind") {
			ksmScale := sharded(rapid.Int32Range(1, 6).Draw(t, "wanted"))
			ksmScale.Spec.Autoscaling = &v1alpha1.AutoscalingConfig{Mode: rapid.SampledFrom([]v1alpha1.AutoscalingMode{
				v1alpha1.ModeHorizontalPodAutoscaler, v1alpha1.ModeNone}).Draw(t, "mode")}
			planned = plans.New(ksmScale, scaling.Cluster{Nodes: rapid.IntRange(1, 200).Draw(t, "nodes")}, now)
			for range rapid.IntRange(0, 30).Draw(t, "reconciles") {
				now = now.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "seconds")) * time.Second)
				scraped := scrapedWhole(there, now)
				if rapid.IntRange(0, 9).Draw(t, "another leader") == 9 {
					seen = retirements{}
				}
				there.retired = seen.of("main", there.services, now)
				decision := Decide(targets(planned, there), there, now)
				requireUnscraped(t, there, decision, now)
				fails := rapid.Float64Range(0, 1).Draw(t, "share of what cannot be made")
				obey(&there, decision, now, func() bool { return rapid.Float64Range(0, 1).Draw(t, "luck") < fails })
				require.True(t, !scraped || scrapedWhole(there, now), "%d is wanted, %v is kept", planned.Total, decision.Keep)
				comeAndGo(t, &there, now)
			}
		}

		// It comes to an end once nothing stands in its way, except that the old pods may leave room for one new pod of each shard only.
		crowded := rapid.Bool().Draw(t, "crowded")
		for range 30 {
			now = now.Add(time.Minute)
			for _, shard := range planned.Shards {
				if deployment := there.deployment(shard.Shard); deployment != nil {
					deployment.Spec.Replicas = new(shard.Replicas)
				}
			}
			for i := range there.deployments {
				getReady(&there, &there.deployments[i], now)
			}
			if crowded && partitions(there.deployments).Len() > 1 {
				crowdOut(&there, planned.Total)
			}
			// However often the leader changes.
			seen = retirements{}
			there.retired = seen.of("main", there.services, now)
			obey(&there, Decide(targets(planned, there), there, now), now, func() bool { return false })
		}
		require.Equal(t, []int32{planned.Total}, partitions(there.deployments).UnsortedList())
		require.Len(t, there.services, int(planned.Total))
		require.True(t, scrapedWhole(there, now))
	})
}

// requireUnscraped requires that no Service is to be deleted that Prometheus may scrape still.
func requireUnscraped(t *rapid.T, there observed, decision Decision, now time.Time) {
	for i := range there.services {
		service := &there.services[i]
		if total, _ := partitionOf(service.Labels); !decision.Keep.Has(total) {
			require.True(t, isRetired(service), "%s is scraped", service.Name)
			require.GreaterOrEqual(t, now.Sub(appliedAt(service)), DiscoveryDelay, service.Name)
		}
	}
}

// scrapedWhole tells whether Prometheus is sure to scrape a ready pod of each shard of some partition.
func scrapedWhole(there observed, now time.Time) bool {
	for total := range partitions(there.deployments) {
		whole := true
		for id := range total {
			shard := v1alpha1.Shard{KSMScale: "main", ID: id, Total: total}
			service := there.service(shard)
			whole = whole && service != nil && !isRetired(service) && now.Sub(appliedAt(service)) >= DiscoveryDelay &&
				shardReplicas(shard, &there).Ready > 0
		}
		if whole {
			return true
		}
	}
	return false
}

// obey makes what was decided, but for what fails, and then removes what is not to be kept, if nothing failed. New Deployments
// have no ready pod yet.
func obey(there *observed, decision Decision, now time.Time, fails func() bool) {
	failed := false
	luckily := func(do func()) {
		if fails() {
			failed = true
		} else {
			do()
		}
	}
	applyService := func(shard v1alpha1.Shard, retired bool) {
		switch service := there.service(shard); {
		case service == nil:
			luckily(func() { there.services = append(there.services, serviceOf(shard, now, retired)) })
		case isRetired(service) != retired:
			luckily(func() { *service = serviceOf(shard, now, retired) })
		}
	}
	for _, shard := range decision.Apply {
		if there.deployment(shard.Shard) == nil {
			luckily(func() {
				there.deployments = append(there.deployments, appsv1.Deployment{
					ObjectMeta: metav1.ObjectMeta{Name: shard.Name(), Labels: shard.Selector()},
					Spec:       appsv1.DeploymentSpec{Replicas: new(shard.Replicas)},
				})
			})
		}
		applyService(shard.Shard, false)
	}
	for _, shard := range there.shards() {
		if decision.Retired.Has(shard.Total) && there.service(shard) != nil {
			applyService(shard, true)
		} else if decision.Keep.Has(shard.Total) && !decision.Retired.Has(shard.Total) {
			applyService(shard, false)
		}
	}
	if failed {
		return
	}
	goes := func(labels map[string]string) bool {
		total, _ := partitionOf(labels)
		return !decision.Keep.Has(total)
	}
	there.deployments = slices.DeleteFunc(there.deployments, func(d appsv1.Deployment) bool { return goes(d.Labels) })
	there.services = slices.DeleteFunc(there.services, func(s corev1.Service) bool { return goes(s.Labels) })
	there.pods = slices.DeleteFunc(there.pods, func(p corev1.Pod) bool { return goes(p.Labels) })
}

// comeAndGo has some Deployments, or none, get another ready pod or lose one, and some Services be deleted.
func comeAndGo(t *rapid.T, there *observed, now time.Time) {
	for i := range there.deployments {
		deployment := &there.deployments[i]
		switch rapid.SampledFrom([]string{"nothing", "gets ready", "gets ready", "dies"}).Draw(t, "a pod of "+deployment.Name) {
		case "gets ready":
			getReady(there, deployment, now)
		case "dies":
			if index := slices.IndexFunc(there.pods, func(pod corev1.Pod) bool { return sameShard(pod.Labels, deployment.Labels) }); index >= 0 {
				there.pods = slices.Delete(there.pods, index, index+1)
				deployment.Status.Replicas--
			}
		}
		deployment.Status.UpdatedReplicas, deployment.Status.ReadyReplicas = deployment.Status.Replicas, deployment.Status.Replicas
	}
	there.services = slices.DeleteFunc(there.services, func(service corev1.Service) bool {
		return rapid.IntRange(0, 19).Draw(t, "fate of Service "+service.Name) == 19
	})
}

func sameShard(a, b map[string]string) bool {
	first, _ := shardOf(a)
	second, _ := shardOf(b)
	return first == second
}

// getReady has a Deployment get another ready pod, if it is to have one more.
func getReady(there *observed, deployment *appsv1.Deployment, now time.Time) {
	pods := int(deployment.Status.Replicas)
	if pods >= int(replicasOf(deployment)) {
		return
	}
	pod := readyPod(v1alpha1.Shard{KSMScale: "main"}, pods, now)
	pod.Labels = deployment.Labels
	there.pods = append(there.pods, pod)
	deployment.Status.Replicas++
	deployment.Status.UpdatedReplicas, deployment.Status.ReadyReplicas = deployment.Status.Replicas, deployment.Status.Replicas
}

// crowdOut takes the nodes of all pods of a partition except the first of each shard.
func crowdOut(there *observed, total int32) {
	seen := sets.New[v1alpha1.Shard]()
	for i := range there.pods {
		pod := &there.pods[i]
		shard, _ := shardOf(pod.Labels)
		if shard.Total == total && seen.Has(shard) && !isUnschedulable(pod) {
			pod.Status.Conditions = make([]corev1.PodCondition, 2)
			unschedulable(pod)
			status := &there.deployment(shard).Status
			status.ReadyReplicas--
			status.UnavailableReplicas++
		}
		seen.Insert(shard)
	}
	there.count()
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

// reshardingWorld has a KSMScale of three shards that are scraped long since, and pods that are ready long since of three and of two.
type reshardingWorld struct {
	*Reconciler
	t     *testing.T
	clock *clocktesting.FakePassiveClock
}

func newReshardingWorld(t *testing.T, apply func(kind, name string) error) reshardingWorld {
	r, _ := newReconciler(t, planner{nodes: 30}, apply)
	w := reshardingWorld{Reconciler: r, t: t, clock: clocktesting.NewFakePassiveClock(testTime.Add(-time.Hour))}
	r.Clock, r.Client = w.clock, dated(counting(r.Client.(client.WithWatch)), w.clock)
	_, err := reconcileMain(t, r)
	require.NoError(t, err)
	w.clock.SetTime(testTime)
	for _, total := range []int32{2, 3} {
		for id := range total {
			pod := readyPod(v1alpha1.Shard{KSMScale: "main", ID: id, Total: total}, 0, testTime.Add(-time.Hour))
			require.NoError(t, r.Client.Create(t.Context(), &pod))
		}
	}
	return w
}

// counting has the status of each Deployment have the counts of its pods: a fake client has no controllers.
func counting(c client.WithWatch) client.WithWatch {
	return interceptor.NewClient(c, interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			err := c.List(ctx, list, options...)
			if deployments, ok := list.(*appsv1.DeploymentList); ok && err == nil {
				var pods corev1.PodList
				if err := c.List(ctx, &pods, options...); err != nil {
					return err
				}
				(&observed{deployments: deployments.Items, pods: pods.Items}).count()
			}
			return err
		},
	})
}

// dated has Services be applied by this clock; a fake client takes that of the machine.
func dated(c client.WithWatch, clock *clocktesting.FakePassiveClock) client.Client {
	applied := map[string]time.Time{}
	return interceptor.NewClient(c, interceptor.Funcs{
		Apply: func(ctx context.Context, c client.WithWatch, object runtime.ApplyConfiguration, options ...client.ApplyOption) error {
			err := c.Apply(ctx, object, options...)
			if service, ok := object.(*corev1ac.ServiceApplyConfiguration); ok && err == nil {
				applied[*service.GetName()] = clock.Now()
			}
			return err
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			err := c.List(ctx, list, options...)
			if services, ok := list.(*corev1.ServiceList); ok {
				for i := range services.Items {
					for j := range services.Items[i].ManagedFields {
						services.Items[i].ManagedFields[j].Time = new(metav1.NewTime(applied[services.Items[i].Name]))
					}
				}
			}
			return err
		},
	})
}

func (w reshardingWorld) pass(d time.Duration) { w.clock.SetTime(w.clock.Now().Add(d)) }

func (w reshardingWorld) reshardTo(shards int32) {
	ksmScale := readMain(w.t, w.Reconciler)
	ksmScale.Spec.Sharding.ShardCount = shards
	require.NoError(w.t, w.Client.Update(w.t.Context(), ksmScale))
}

func (w reshardingWorld) services(selector string) []corev1.Service {
	parsed, err := labels.Parse(selector)
	require.NoError(w.t, err)
	var services corev1.ServiceList
	require.NoError(w.t, w.Client.List(w.t.Context(), &services, client.MatchingLabelsSelector{Selector: parsed}))
	return services.Items
}

// reconciled has the totals of what is there, and of it the Services that are scraped.
func (w reshardingWorld) reconciled() (deployments, scraped []string, again time.Duration) {
	result, err := reconcileMain(w.t, w.Reconciler)
	require.NoError(w.t, err)
	var made appsv1.DeploymentList
	require.NoError(w.t, w.Client.List(w.t.Context(), &made))
	for i := range made.Items {
		deployments = append(deployments, made.Items[i].Labels["total-shards"])
	}
	for _, service := range w.services("ksmscale.example.com=main,!ksmscale.example.com/retired") {
		scraped = append(scraped, service.Labels["total-shards"])
	}
	slices.Sort(deployments)
	slices.Sort(scraped)
	return deployments, scraped, result.RequeueAfter
}

// Prometheus has to take a Service out of its targets before the Service is gone, and to have found one again before others leave.
func TestServicesLeaveServiceDiscoveryBeforeTheyAreDeleted(t *testing.T) {
	const enough = DiscoveryDelay + time.Minute
	w := newReshardingWorld(t, nil)
	w.reshardTo(2)
	deployments, scraped, _ := w.reconciled()
	// The first new shard's Deployment is there, and none has been seen.
	assert.Equal(t, []string{"2", "3", "3", "3"}, deployments)
	assert.Equal(t, []string{"2", "3", "3", "3"}, scraped)
	w.reconciled()
	w.pass(enough - time.Second)
	_, scraped, again := w.reconciled()
	assert.Equal(t, []string{"2", "2", "3", "3", "3"}, scraped, "Prometheus may not have noticed the new ones")
	assert.Equal(t, time.Second, again)
	w.pass(time.Second)
	deployments, scraped, again = w.reconciled()
	assert.Equal(t, []string{"2", "2", "3", "3", "3"}, deployments)
	assert.Equal(t, []string{"2", "2"}, scraped)
	assert.Equal(t, DiscoveryDelay, again)

	w.pass(DiscoveryDelay - time.Second)
	deployments, scraped, again = w.reconciled()
	assert.Len(t, deployments, 5, "Prometheus may not have noticed that the old ones are to go")
	assert.Len(t, scraped, 2)
	assert.Equal(t, time.Second, again)

	t.Run("and come back if they are wanted again", func(t *testing.T) {
		w.reshardTo(3)
		deployments, scraped, again := w.reconciled()
		assert.Len(t, deployments, 5)
		assert.Equal(t, []string{"2", "2", "3", "3", "3"}, scraped)
		assert.Zero(t, again, "the change of the Services is what is waited for")
		_, _, again = w.reconciled()
		assert.Equal(t, enough, again)
		w.pass(enough)
		deployments, scraped, _ = w.reconciled()
		assert.Len(t, deployments, 5)
		assert.Equal(t, []string{"3", "3", "3"}, scraped)
		w.pass(time.Second)
		w.reshardTo(2)
		w.reconciled()
		w.pass(enough)
		deployments, scraped, _ = w.reconciled()
		assert.Len(t, deployments, 5)
		assert.Equal(t, []string{"2", "2"}, scraped)
	})

	w.pass(DiscoveryDelay)
	deployments, scraped, again = w.reconciled()
	assert.Equal(t, []string{"2", "2"}, deployments)
	assert.Equal(t, []string{"2", "2"}, scraped)
	assert.Zero(t, again)
}

// A pod of nobody's with the labels of a shard is not one of its pods.
func TestPodsOfOthersTakeNothingOver(t *testing.T) {
	w := newReshardingWorld(t, nil)
	for id := range int32(2) {
		pod := readyPod(v1alpha1.Shard{KSMScale: "main", ID: id, Total: 2}, 0, testTime)
		require.NoError(t, w.Client.Get(t.Context(), client.ObjectKeyFromObject(&pod), &pod))
		pod.OwnerReferences = nil
		require.NoError(t, w.Client.Update(t.Context(), &pod))
	}
	w.reshardTo(2)
	for range 3 {
		w.reconciled()
		w.pass(time.Hour)
	}
	condition := meta.FindStatusCondition(readMain(t, w.Reconciler).Status.Conditions, v1alpha1.ConditionProgressing)
	assert.Contains(t, condition.Message, "which wait for shard 0 of 2 to have 1 ready pod, and it has 0")
}

// Without its Service nobody scrapes a shard, however ready its pods are.
func TestShardsAreScrapedUntilOthersHaveServices(t *testing.T) {
	w := newReshardingWorld(t, func(kind, name string) error {
		if kind == "Service" && strings.HasSuffix(name, "-of-2") {
			return errors.New("exceeded quota")
		}
		return nil
	})
	w.reshardTo(2)
	for range 5 {
		_, err := reconcileMain(t, w.Reconciler)
		require.ErrorContains(t, err, "exceeded quota")
	}
	services := w.services("ksmscale.example.com=main")
	require.Len(t, services, 3)
	for _, service := range services {
		assert.NotContains(t, service.Labels, v1alpha1.LabelRetired, service.Name)
	}
}

// What someone deletes of a shard that is still needed is made again, wanted or not.
func TestServicesOfShardsThatAreStillNeededAreMadeAgain(t *testing.T) {
	w := newReshardingWorld(t, nil)
	w.reshardTo(2)
	w.reconciled()
	meta := metav1.ObjectMeta{Namespace: "monitoring", Name: "ksm-main-shard-1-of-3"}
	lost := []client.Object{&corev1.Service{ObjectMeta: meta}, &policyv1.PodDisruptionBudget{ObjectMeta: meta}, &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: meta}}
	for _, object := range lost {
		require.NoError(t, w.Client.Delete(t.Context(), object))
	}
	w.reconciled()
	for _, object := range lost {
		assert.NoError(t, w.Client.Get(t.Context(), client.ObjectKeyFromObject(object), object), "%T", object)
	}
}

// One that is not ready is no reason to leave the others out.
func TestAllServicesAreScrapedAgainAtOnce(t *testing.T) {
	w := newReshardingWorld(t, nil)
	w.reshardTo(2)
	w.reconciled()
	w.reconciled()
	w.pass(time.Hour)
	_, scraped, _ := w.reconciled()
	require.Equal(t, []string{"2", "2"}, scraped)
	pod := readyPod(v1alpha1.Shard{KSMScale: "main", ID: 0, Total: 3}, 0, testTime)
	require.NoError(t, w.Client.Delete(t.Context(), &pod))
	w.reshardTo(3)
	_, scraped, _ = w.reconciled()
	assert.Equal(t, []string{"2", "2", "3", "3", "3"}, scraped)
}

// What could not be made is not missed any more once nobody wants it.
func TestNothingIsMadeOfShardsThatAreAboutToGo(t *testing.T) {
	w := newReshardingWorld(t, func(kind, name string) error {
		if kind == "Service" && name == "ksm-main-shard-0-of-2" {
			return errors.New("exceeded quota")
		}
		return nil
	})
	w.reshardTo(2)
	_, err := reconcileMain(t, w.Reconciler)
	require.ErrorContains(t, err, "exceeded quota")
	w.reshardTo(3)
	deployments, scraped, _ := w.reconciled()
	assert.Equal(t, []string{"3", "3", "3"}, deployments, "none was scraped, so that Prometheus has nothing to notice")
	assert.Equal(t, []string{"3", "3", "3"}, scraped)
}
