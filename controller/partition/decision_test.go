package partition

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
	"github.com/example/ksmscale/controller/fixtures/snapshots"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/plans"
	"github.com/example/ksmscale/scaling"
)

// A reshard waits for the replicas that others have set the new Deployments to, as no one makes those that are planned.
func TestReshardingThatIsManualScaling(t *testing.T) {
	long := fixtures.Time.Add(-time.Hour)
	var snapshot observation.Snapshot
	snapshots.AddPartition(&snapshot, 3, 3, 2, long)
	snapshots.AddPartition(&snapshot, 2, 2, 1, long)
	ksmScale := fixtures.Sharded(2)
	ksmScale.Spec.Autoscaling = &v1alpha1.AutoscalingConfig{Mode: v1alpha1.ModeNone}
	planned := plans.New(ksmScale, scaling.Cluster{Nodes: 90}, fixtures.Time)
	assert.Empty(t, nextStepOf(Decide(Targets(planned, snapshot), snapshot, fixtures.Time)))
	snapshot.Deployments[3].Spec.Replicas = new(int32(2))
	assert.Equal(t, "ReadyPods of shard 0 of 2: 1 of 2", nextStepOf(Decide(Targets(planned, snapshot), snapshot, fixtures.Time)))
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
	long, short := fixtures.Time.Add(-time.Hour), fixtures.Time.Add(-20*time.Second)
	// strangers are ready pods that look like those of shard 4 of 5, whose Deployment has a number of its own.
	strangers := func(o *observation.Snapshot, count int, since time.Time) {
		for i := range count {
			o.Pods = append(o.Pods, fixtures.ReadyPod(v1alpha1.Shard{KSMScale: "main", ID: 4, Total: 5}, 10+i, since))
		}
	}
	for _, test := range []struct {
		name    string
		desired int32
		nodes   int
		setUp   func(*observation.Snapshot)
		applied int
		kept    []int32
		retired []int32
		waits   string
		settled time.Duration
	}{
		{name: "the first time, all shards at once", desired: 3, setUp: func(*observation.Snapshot) {}, applied: 3, kept: []int32{3}},
		{name: "nothing changes", desired: 3, setUp: func(o *observation.Snapshot) { snapshots.AddPartition(o, 3, 3, 1, long) }, applied: 3, kept: []int32{3}},
		{
			name: "the first new shard", desired: 5, setUp: func(o *observation.Snapshot) { snapshots.AddPartition(o, 3, 3, 1, long) },
			applied: 1, kept: []int32{3, 5}, waits: "Deployment of shard 0 of 5",
		},
		{
			name: "the next one once it is ready", desired: 5, setUp: func(o *observation.Snapshot) {
				snapshots.AddPartition(o, 3, 3, 1, long)
				snapshots.AddPartition(o, 5, 1, 1, short)
			},
			applied: 2, kept: []int32{3, 5}, waits: "Deployment of shard 1 of 5",
		},
		{
			name: "and not before", desired: 5, setUp: func(o *observation.Snapshot) {
				snapshots.AddPartition(o, 3, 3, 1, long)
				snapshots.AddPartition(o, 5, 1, 0, short)
			},
			applied: 1, kept: []int32{3, 5}, waits: "ReadyPods of shard 0 of 5: 0 of 1",
		},
		{
			name: "all are ready, but not for long enough", desired: 5, setUp: func(o *observation.Snapshot) {
				snapshots.AddPartition(o, 3, 3, 1, long)
				snapshots.AddPartition(o, 5, 5, 1, short)
			},
			applied: 5, kept: []int32{3, 5}, waits: "Scrapes of all shards of 5 for 1m0s", settled: 40 * time.Second,
		},
		{
			name: "for long enough", desired: 5, setUp: func(o *observation.Snapshot) {
				snapshots.AddPartition(o, 3, 3, 1, long)
				snapshots.AddPartition(o, 5, 5, 1, long)
			},
			applied: 5, kept: []int32{3, 5}, retired: []int32{3}, settled: 15 * time.Second,
		},
		{
			name: "a ready pod is not of the Deployment", desired: 5, setUp: func(o *observation.Snapshot) {
				snapshots.AddPartition(o, 3, 3, 1, long)
				snapshots.AddPartition(o, 5, 4, 1, long)
				snapshots.AddPartition(o, 5, 5, 0, long)
				o.Deployments = slices.Delete(o.Deployments, 7, 11)
				o.Services = slices.Delete(o.Services, 7, 11)
				strangers(o, 1, long)
			},
			applied: 5, kept: []int32{3, 5}, waits: "ReadyPods of shard 4 of 5: 0 of 1",
		},
		{
			name: "pods that are ready for longer are not of the Deployment", desired: 5, setUp: func(o *observation.Snapshot) {
				snapshots.AddPartition(o, 3, 3, 1, long)
				snapshots.AddPartition(o, 5, 5, 1, long)
				o.Pods[7] = fixtures.ReadyPod(v1alpha1.Shard{KSMScale: "main", ID: 4, Total: 5}, 0, short)
				strangers(o, 2, long)
			},
			applied: 5, kept: []int32{3, 5}, waits: "Scrapes of all shards of 5 for 1m0s", settled: 40 * time.Second,
		},
		{
			name: "Prometheus is about to notice", desired: 5, setUp: func(o *observation.Snapshot) {
				snapshots.AddPartition(o, 3, 3, 1, long)
				snapshots.AddPartition(o, 5, 5, 1, long)
				snapshots.Retire(o, fixtures.Time.Add(-14*time.Second))
			},
			applied: 5, kept: []int32{3, 5}, retired: []int32{3}, settled: time.Second,
		},
		{
			name: "it has noticed", desired: 5, setUp: func(o *observation.Snapshot) {
				snapshots.AddPartition(o, 3, 3, 1, long)
				snapshots.AddPartition(o, 5, 5, 1, long)
				snapshots.Retire(o, fixtures.Time.Add(-15*time.Second))
			},
			applied: 5, kept: []int32{5},
		},
		{
			name: "one of the old Services is scraped still", desired: 5, setUp: func(o *observation.Snapshot) {
				snapshots.AddPartition(o, 3, 3, 1, long)
				snapshots.AddPartition(o, 5, 5, 1, long)
				snapshots.Retire(o, long)
				delete(o.Services[1].Labels, v1alpha1.LabelRetired)
				delete(o.RetiredSince, o.Services[1].Name)
			},
			applied: 5, kept: []int32{3, 5}, retired: []int32{3}, settled: 15 * time.Second,
		},
		{
			name: "the API server's clock is ahead", desired: 5, setUp: func(o *observation.Snapshot) {
				snapshots.AddPartition(o, 3, 3, 1, long)
				snapshots.AddPartition(o, 5, 5, 1, long)
				o.Services[7] = fixtures.ServiceOf(v1alpha1.Shard{KSMScale: "main", ID: 4, Total: 5}, fixtures.Time.Add(5*time.Second), false)
			},
			applied: 5, kept: []int32{3, 5},
			waits: "Scrapes of all shards of 5 for 1m0s", settled: 80 * time.Second,
		},
		{
			name: "back, and Prometheus has been told to leave them out", desired: 3, setUp: func(o *observation.Snapshot) {
				snapshots.AddPartition(o, 3, 3, 1, long)
				snapshots.AddPartition(o, 5, 5, 1, long)
				snapshots.Retire(o, fixtures.Time.Add(-time.Second))
			},
			applied: 1, kept: []int32{3, 5}, waits: "UnretiredService of shard 0 of 3",
		},
		{
			name: "back, and Prometheus may not have noticed", desired: 3, setUp: func(o *observation.Snapshot) {
				snapshots.AddPartition(o, 3, 3, 1, long)
				snapshots.AddPartition(o, 5, 5, 1, long)
				snapshots.Rescrape(o, fixtures.Time.Add(-74*time.Second))
			},
			applied: 3, kept: []int32{3, 5},
			waits: "Scrapes of all shards of 3 for 1m0s", settled: time.Second,
		},
		{
			name: "back, and they are scraped again", desired: 3, setUp: func(o *observation.Snapshot) {
				snapshots.AddPartition(o, 3, 3, 1, long)
				snapshots.AddPartition(o, 5, 5, 1, long)
				snapshots.Rescrape(o, fixtures.Time.Add(-75*time.Second))
			},
			applied: 3, kept: []int32{3, 5}, retired: []int32{5}, settled: 15 * time.Second,
		},
		{
			name: "a new shard loses its pod meanwhile, and the old ones are needed", desired: 5, setUp: func(o *observation.Snapshot) {
				snapshots.AddPartition(o, 3, 3, 1, long)
				snapshots.AddPartition(o, 5, 5, 1, long)
				o.Pods = o.Pods[:7]
				snapshots.Retire(o, fixtures.Time.Add(-14*time.Second))
			},
			applied: 5, kept: []int32{3, 5}, waits: "ReadyPods of shard 4 of 5: 0 of 1",
		},
		{
			name: "fewer replicas than are planned", desired: 2, nodes: 60, setUp: func(o *observation.Snapshot) {
				snapshots.AddPartition(o, 3, 3, 2, long)
				snapshots.AddPartition(o, 2, 2, 1, long)
			},
			applied: 2, kept: []int32{2, 3}, waits: "ReadyPods of shard 0 of 2: 1 of 2",
		},
		{
			name: "sharding off", desired: 1, setUp: func(o *observation.Snapshot) { snapshots.AddPartition(o, 3, 3, 1, long) },
			applied: 1, kept: []int32{1, 3}, waits: "Deployment of shard 0 of 1",
		},
		{
			name: "back, before it was done", desired: 3, setUp: func(o *observation.Snapshot) {
				snapshots.AddPartition(o, 3, 3, 1, long)
				snapshots.AddPartition(o, 5, 2, 1, short)
			},
			applied: 3, kept: []int32{3, 5}, retired: []int32{5}, settled: 15 * time.Second,
		},
		{
			name: "to yet another number", desired: 4, setUp: func(o *observation.Snapshot) {
				snapshots.AddPartition(o, 3, 3, 1, long)
				snapshots.AddPartition(o, 5, 2, 1, short)
			},
			applied: 1, kept: []int32{3, 4, 5}, retired: []int32{5}, waits: "Deployment of shard 0 of 4", settled: 15 * time.Second,
		},
		{
			name: "a rollout of the new shards", desired: 5, setUp: func(o *observation.Snapshot) {
				snapshots.AddPartition(o, 3, 3, 1, long)
				snapshots.AddPartition(o, 5, 5, 1, long)
				o.Deployments[7].Status.UpdatedReplicas = 0
			},
			applied: 5, kept: []int32{3, 5}, waits: "Rollout of shard 4 of 5",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var snapshot observation.Snapshot
			test.setUp(&snapshot)
			planned := plans.New(fixtures.Sharded(test.desired), scaling.Cluster{Nodes: max(test.nodes, 15)}, fixtures.Time)
			decision := Decide(planned, snapshot, fixtures.Time)
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
			snapshot := observation.Snapshot{Autoscalers: test.autoscalers}
			snapshots.AddPartition(&snapshot, 3, 3, 1, fixtures.Time.Add(-time.Hour))
			snapshots.AddPartition(&snapshot, 2, 2, test.pods, fixtures.Time.Add(-time.Hour))
			desired := fixtures.Sharded(2)
			desired.Spec.Autoscaling = test.autoscaling
			planned := plans.New(desired, scaling.Cluster{Nodes: 22 * 15}, fixtures.Time)
			require.EqualValues(t, 11, planned.Shards[0].Replicas)
			assert.Equal(t, test.waits, nextStepOf(Decide(Targets(planned, snapshot), snapshot, fixtures.Time)))
		})
	}
}

// The room that the last pods lack may be what the old partition takes.
func TestReshardingDoesNotWaitForPodsThatFitNowhere(t *testing.T) {
	long := fixtures.Time.Add(-time.Hour)
	// desired adds one Deployment of three replicas, of which that many are ready and that many find no node.
	desired := func(o *observation.Snapshot, ready, unschedulablePods int) {
		snapshots.AddPartition(o, 1, 1, ready, long)
		deployment := &o.Deployments[len(o.Deployments)-1]
		deployment.Spec.Replicas = new(int32(3))
		shard, _ := v1alpha1.ShardOf(deployment.Labels)
		for i := range unschedulablePods {
			pod := fixtures.ReadyPod(shard, ready+i, long)
			pod.Status.Conditions = make([]corev1.PodCondition, 2)
			fixtures.Unschedulable(&pod)
			o.Pods = append(o.Pods, pod)
			deployment.Status.Replicas++
			deployment.Status.UpdatedReplicas++
			deployment.Status.UnavailableReplicas++
		}
	}
	for _, test := range []struct {
		name    string
		setUp   func(*observation.Snapshot)
		waits   string
		retired []int32
	}{
		{name: "one of three fits nowhere", setUp: func(o *observation.Snapshot) { desired(o, 2, 1) }, retired: []int32{3}},
		{name: "two of three", setUp: func(o *observation.Snapshot) { desired(o, 1, 2) }, retired: []int32{3}},
		{name: "none fits", setUp: func(o *observation.Snapshot) { desired(o, 0, 3) }, waits: "ReadyPods of shard 0 of 1: 0 of 1"},
		{name: "one fits nowhere, and one starts", setUp: func(o *observation.Snapshot) { desired(o, 1, 1) }, waits: "ReadyPods of shard 0 of 1: 1 of 2"},
		{
			name: "the first of a new template", setUp: func(o *observation.Snapshot) {
				desired(o, 3, 1)
				o.Deployments[3].Status.UpdatedReplicas = 1
			},
			retired: []int32{3},
		},
		{
			name: "and one that starts", setUp: func(o *observation.Snapshot) {
				desired(o, 3, 0)
				o.Deployments[3].Status.UpdatedReplicas = 1
			},
			waits: "Rollout of shard 0 of 1",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var snapshot observation.Snapshot
			snapshots.AddPartition(&snapshot, 3, 3, 2, long)
			test.setUp(&snapshot)
			planned := plans.New(WithPausedShards(fixtures.Sharded(1), snapshot), scaling.Cluster{Nodes: 45}, fixtures.Time)
			decided := Decide(Targets(planned, snapshot), snapshot, fixtures.Time)
			assert.Equal(t, test.waits, nextStepOf(decided))
			assert.ElementsMatch(t, test.retired, decided.Retired.UnsortedList())
		})
	}
}

// In mode None someone may set a shard to none.
func TestReshardingWaitsForAReadyPodOfAShardThatIsSetToNone(t *testing.T) {
	var snapshot observation.Snapshot
	snapshots.AddPartition(&snapshot, 3, 3, 1, fixtures.Time.Add(-time.Hour))
	snapshots.AddPartition(&snapshot, 2, 2, 1, fixtures.Time.Add(-time.Second))
	planned := plans.New(fixtures.Sharded(2), scaling.Cluster{Nodes: 15}, fixtures.Time)
	planned.Shards[0].Replicas = 0
	assert.ElementsMatch(t, []int32{2, 3}, Decide(planned, snapshot, fixtures.Time).Keep.UnsortedList())
}
