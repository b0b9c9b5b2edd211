package status

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
	"github.com/example/ksmscale/controller/partition"
	"github.com/example/ksmscale/plans"
	"github.com/example/ksmscale/scaling"
)

func TestHolds(t *testing.T) {
	w := newWorld(func(w *world) {
		w.nodes = 450
		for id := range w.observed.Deployments {
			w.observed.Deployments[id].Spec.Replicas = new(int32(4))
		}
		w.observed.Pods = append(w.observed.Pods, fixtures.Pod(1, "b", fixtures.Unschedulable), fixtures.Pod(1, "c", fixtures.Unschedulable),
			fixtures.Pod(2, "b", fixtures.Unschedulable, func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: fixtures.Time} }))
	})
	status := w.status()
	assert.Equal(t, []v1alpha1.PausedShard{{TotalShards: 3, Shard: 1, Replicas: 4}}, status.ShardingStatus.ScaleUpPaused)
	assert.EqualValues(t, 30, status.DesiredReplicas, "what the nodes ask for")
	assert.Equal(t, v1alpha1.PhaseScaling, status.Phase)
	condition := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionSchedulable)
	assert.Contains(t, condition.Message, "2 pods wait for a node; scale-up of shard 1 is paused at 4 of 10 replicas; the scheduler reports about ksm-main-shard-1-of-3-b: 0/3")

	w.ksmScale.Status = status
	assert.Equal(t, []int32{10, 4, 10}, desiredReplicas(plans.New(w.ksmScale, scaling.Cluster{Nodes: 450}, fixtures.Time)), "the adapter reads it off the status")
	assert.Equal(t, []int32{2, 1, 1}, desiredReplicas(plans.New(w.ksmScale, scaling.Cluster{Nodes: 60}, fixtures.Time)), "the metric may fall")
	w.observed.Deployments[1].Status.UnavailableReplicas = 0
	assert.Empty(t, partition.PausedShards(w.observed), "its Deployment has all of its pods, so these are not among them")
	w.observed.Pods = w.observed.Pods[:3]
	assert.Empty(t, w.status().ShardingStatus.ScaleUpPaused, "once the pods are gone, or fit")
}

func desiredReplicas(planned plans.Planned) []int32 {
	var replicas []int32
	for _, shard := range planned.Shards {
		replicas = append(replicas, shard.Replicas)
	}
	return replicas
}

// A shard that is held and has all the pods that it may is not ready, and its partition is not complete.
func TestHeldIsNotAsPlanned(t *testing.T) {
	w := newWorld(func(w *world) {
		w.nodes = 60
		w.observed.Pods[0] = fixtures.Pod(0, "a", fixtures.Unschedulable)
	})
	status := w.status()
	progressing := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionProgressing)
	assert.Equal(t, "3 of 4 desired pods exist", progressing.Message)
	assert.Equal(t, v1alpha1.PhaseIncomplete, status.Phase)
}

func TestTheLoopIsWarnedOf(t *testing.T) {
	fillsANode := func(w *world) {
		w.ksmScale.Spec.NodesPerMonitor = 1
		w.ksmScale.Spec.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("2Gi")}
		w.nodes, w.kinds = 3, fixtures.NodeKinds{{CPU: 4000, Memory: 4 << 30, OS: "linux", Nodes: 3}}
	}
	for _, test := range []struct {
		name             string
		override         func(*world)
		want, says, lest string
	}{
		{"before it runs", func(*world) {}, "True FeedbackLoop", "set spec.sharding.maxReplicasPerShard", "scheduler"},
		{"while it runs", func(w *world) { w.observed.Pods[0] = fixtures.Pod(0, "a", fixtures.Unschedulable) }, "False Unschedulable", "0/3 nodes are available; with a cluster autoscaler", ""},
		{"not with a maximum", func(w *world) { w.ksmScale.Spec.Sharding.MaxReplicasPerShard = 9 }, "True AllPodsScheduled", "", "autoscaler"},
		{"not with two nodes per pod", func(w *world) { w.ksmScale.Spec.NodesPerMonitor = 2 }, "True AllPodsScheduled", "", "autoscaler"},
	} {
		condition := meta.FindStatusCondition(newWorld(fillsANode, test.override).status().Conditions, v1alpha1.ConditionSchedulable)
		assert.Equal(t, test.want, string(condition.Status)+" "+condition.Reason, test.name)
		assert.Contains(t, condition.Message, test.says, test.name)
		if test.lest != "" {
			assert.NotContains(t, condition.Message, test.lest, test.name)
		}
	}
}

// crowded is a cluster whose nodes have each room for one pod, in which other pods are on some of them. An autoscaler
// adds a node for each pod that waits for one.
type crowded struct {
	world
	workload int
	// scheduled and specified are how many pods of each shard have a node, and how many its Deployment is set to.
	scheduled, specified [3]int32
	histories            [3]scaling.History
	second               int
}

func newCrowded(nodesPerMonitor, maximum int32) *crowded {
	c := &crowded{world: newWorld(), workload: 10, specified: [3]int32{1, 1, 1}}
	c.nodes = c.workload
	c.ksmScale.Spec.NodesPerMonitor, c.ksmScale.Spec.Sharding.MaxReplicasPerShard = nodesPerMonitor, maximum
	c.ksmScale.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("3")}
	return c
}

// schedule puts pods on nodes that are free, and has the controller look.
func (c *crowded) schedule() {
	free := int32(c.nodes - c.workload)
	for _, scheduled := range c.scheduled {
		free -= scheduled
	}
	c.observed.Pods, c.observed.Deployments = nil, nil
	for id := range c.scheduled {
		// The pods that wait are the first that are deleted.
		more := min(free, c.specified[id]-c.scheduled[id])
		c.scheduled[id] += more
		free -= max(more, 0)
		shard := fixtures.Shard(int32(id))
		c.observed.Deployments = append(c.observed.Deployments, appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Name: shard.Name(), Labels: shard.Selector()},
			Spec:       appsv1.DeploymentSpec{Replicas: new(c.specified[id])},
		})
		for range c.scheduled[id] {
			c.observed.Pods = append(c.observed.Pods, fixtures.Pod(int32(id), "runs"))
		}
		for range c.specified[id] - c.scheduled[id] {
			c.observed.Pods = append(c.observed.Pods, fixtures.Pod(int32(id), "waits", fixtures.Unschedulable))
		}
	}
	c.kinds = fixtures.NodeKinds{{CPU: 4000, Memory: 16 << 30, OS: "linux", Nodes: c.nodes}}
	c.ksmScale.Status = c.status()
}

// round has nodes come for the pods that wait for one, and then replicas scaled as the adapter says by then.
func (c *crowded) round(t *testing.T) {
	var waiting [3]bool
	for id := range c.specified {
		c.nodes += int(c.specified[id] - c.scheduled[id])
		waiting[id] = c.specified[id] > c.scheduled[id]
	}
	c.second += 15
	c.scale(t, waiting) // Before the controller has seen that the pods have a node, the metric does not rise.
	c.schedule()
	c.scale(t, [3]bool{})
	c.schedule()
}

func (c *crowded) scale(t *testing.T, paused [3]bool) {
	t.Helper()
	planned := plans.New(c.ksmScale, scaling.Cluster{Nodes: c.nodes}, fixtures.Time)
	pace, now := scaling.NewPace(&c.ksmScale.Spec), fixtures.Time.Add(time.Duration(c.second)*time.Second)
	for id, shard := range planned.Shards {
		c.histories[id].Recommend(pace, c.specified[id], shard.Replicas, now)
		next, _ := pace.Next(&c.histories[id], c.specified[id], now)
		require.False(t, paused[id] && next > c.specified[id], "shard %d has pods that wait", id)
		c.histories[id].Scaled(c.specified[id], next, now)
		c.specified[id] = next
	}
}

func TestBesideAClusterAutoscaler(t *testing.T) {
	for _, test := range []struct {
		name                     string
		nodesPerMonitor, maximum int32
		settles                  bool
		nodes                    int
		warned                   bool
	}{
		{name: "two nodes per pod", nodesPerMonitor: 2, settles: true, nodes: 20},
		{name: "three nodes per pod", nodesPerMonitor: 3, settles: true, nodes: 15},
		{name: "one node per pod, up to a maximum", nodesPerMonitor: 1, maximum: 4, settles: true, nodes: 22},
		{name: "one node per pod", nodesPerMonitor: 1, warned: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCrowded(test.nodesPerMonitor, test.maximum)
			c.schedule()
			warning := meta.FindStatusCondition(c.ksmScale.Status.Conditions, v1alpha1.ConditionSchedulable).Message
			assert.Equal(t, test.warned, strings.Contains(warning, "would grow without end"), "before any node came: %s", warning)
			for range 60 {
				c.round(t)
			}
			before := c.nodes
			for range 60 {
				c.round(t)
			}
			if !test.settles {
				assert.Greater(t, c.nodes, before)
				return
			}
			assert.Equal(t, before, c.nodes)
			assert.Equal(t, test.nodes, c.nodes)
			assert.Equal(t, c.specified, c.scheduled, "no pod waits")
			assert.Empty(t, c.ksmScale.Status.ShardingStatus.ScaleUpPaused)
		})
	}
}
