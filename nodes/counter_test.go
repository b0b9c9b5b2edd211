package nodes_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	"pgregory.net/rapid"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/nodes"
	"github.com/example/ksmscale/scaling"
)

var testTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// node is a node like a control plane has it, with the overrides.
func node(name string, overrides ...func(*corev1.Node)) *corev1.Node {
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: "uid-1", ResourceVersion: "1", Labels: map[string]string{corev1.LabelOSStable: "linux"}},
		Status:     corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}},
	}
	for _, override := range overrides {
		override(n)
	}
	return n
}

func labelled(key, value string) func(*corev1.Node) {
	return func(n *corev1.Node) { metav1.SetMetaDataLabel(&n.ObjectMeta, key, value) }
}

func tainted(key, value string, effect corev1.TaintEffect) func(*corev1.Node) {
	return func(n *corev1.Node) {
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key, Value: value, Effect: effect})
	}
}

func virtualKubelet(n *corev1.Node) { labelled("type", "virtual-kubelet")(n) }
func controlPlane(n *corev1.Node) {
	labelled("node-role.kubernetes.io/control-plane", "")(n)
	tainted("node-role.kubernetes.io/control-plane", "", corev1.TaintEffectNoSchedule)(n)
}
func deleting(n *corev1.Node) { n.DeletionTimestamp = &metav1.Time{Time: testTime} }

// cordoned is with the taint that the node controller adds.
func cordoned(n *corev1.Node) {
	n.Spec.Unschedulable = true
	tainted("node.kubernetes.io/unschedulable", "", corev1.TaintEffectNoSchedule)(n)
}

func notReady(status corev1.ConditionStatus) func(*corev1.Node) {
	return func(n *corev1.Node) { n.Status.Conditions[0].Status = status }
}

// spec is of a KSMScale that no API server has defaulted.
func spec(overrides ...func(*v1alpha1.NodesConfig)) *v1alpha1.KSMScaleSpec {
	s := &v1alpha1.KSMScaleSpec{}
	for _, override := range overrides {
		override(&s.Nodes)
	}
	return s
}

func schedulableOnly(c *v1alpha1.NodesConfig) { c.SchedulableOnly = true }
func readyOnly(c *v1alpha1.NodesConfig)       { c.ReadyOnly = true }

func selecting(selector v1alpha1.NodeSelector) func(*v1alpha1.NodesConfig) {
	return func(c *v1alpha1.NodesConfig) { c.Selector = &selector }
}

func ignoring(taints ...v1alpha1.IgnoredTaint) func(*v1alpha1.NodesConfig) {
	return func(c *v1alpha1.NodesConfig) { c.IgnoredTaints = taints }
}

// watched is a Counter with a listing of some nodes. It lists them again when a spec names a new label.
type watched struct {
	*nodes.Counter
	listing *nodes.Listing
	there   map[string]*corev1.Node
}

func newCounter() *watched { return watchedBy(clocktesting.NewFakePassiveClock(testTime)) }

func watchedBy(clock clock.PassiveClock) *watched {
	w := &watched{Counter: nodes.NewCounter(clock), there: map[string]*corev1.Node{}}
	w.list()
	return w
}

func (w *watched) list() {
	w.listing = w.Listing()
	var all []any
	for _, one := range w.there {
		all = append(all, one)
	}
	must(w.listing.Replace(all, ""))
}

func (w *watched) OnAdd(node *corev1.Node) {
	w.there[node.Name] = node
	must(w.listing.Add(node))
}

func (w *watched) OnUpdate(_, node *corev1.Node) {
	w.there[node.Name] = node
	must(w.listing.Update(node))
}

func (w *watched) OnDelete(node *corev1.Node) {
	delete(w.there, node.Name)
	must(w.listing.Delete(node))
}

// Cluster is the picture after listing again, if that is necessary.
func (w *watched) Cluster(spec *v1alpha1.KSMScaleSpec) (scaling.Cluster, time.Time) {
	cluster, asOf, ok := w.Counter.Cluster(spec)
	if !ok {
		w.list()
		if cluster, asOf, ok = w.Counter.Cluster(spec); !ok {
			panic("the nodes have been listed with all labels")
		}
	}
	return cluster, asOf
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func TestCounter(t *testing.T) {
	for _, test := range []struct {
		name   string
		events func(*watched)
		want   int
		// changes is how often a change is notified.
		changes int
	}{
		{name: "no nodes", events: func(*watched) {}},
		{name: "nodes come", want: 2, changes: 2, events: func(c *watched) {
			c.OnAdd(node("a"))
			c.OnAdd(node("b"))
		}},
		{name: "a node goes", want: 1, changes: 3, events: func(c *watched) {
			c.OnAdd(node("a"))
			c.OnAdd(node("b"))
			c.OnDelete(node("a"))
		}},
		{name: "a node went while the watch was interrupted", want: 0, changes: 2, events: func(c *watched) {
			c.OnAdd(node("a"))
			delete(c.there, "a")
			c.list()
		}},
		{name: "a heartbeat changes nothing", want: 1, changes: 1, events: func(c *watched) {
			c.OnAdd(node("a"))
			c.OnUpdate(node("a"), node("a"))
		}},
		{name: "a cordoned node goes on counting, and is told of", want: 1, changes: 2, events: func(c *watched) {
			c.OnAdd(node("a"))
			c.OnUpdate(node("a"), node("a", cordoned))
		}},
		{name: "a node that is not ready goes on counting", want: 1, changes: 1, events: func(c *watched) {
			c.OnAdd(node("a"))
			c.OnUpdate(node("a"), node("a", notReady(corev1.ConditionUnknown)))
		}},
		{name: "a virtual kubelet does not count, and is told of", want: 1, changes: 3, events: func(c *watched) {
			c.OnAdd(node("a"))
			c.OnAdd(node("virtual", virtualKubelet))
			c.OnDelete(node("virtual", virtualKubelet))
		}},
		{name: "a node becomes a virtual kubelet", want: 0, changes: 2, events: func(c *watched) {
			c.OnAdd(node("a"))
			c.OnUpdate(node("a"), node("a", virtualKubelet))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			counter := newCounter()
			var changes int
			counter.OnChange(func() { changes++; counter.Cluster(spec()) })
			test.events(counter)
			cluster, _ := counter.Cluster(spec())
			assert.Equal(t, test.want, cluster.Nodes)
			assert.Equal(t, test.changes, changes)
		})
	}
}

func TestPictureIsAsOldAsTheLastEvent(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(testTime)
	counter := watchedBy(clock)
	counter.OnAdd(node("a"))

	clock.SetTime(testTime.Add(time.Minute))
	_, asOf := counter.Cluster(spec())
	assert.Equal(t, testTime, asOf, "asking does not make the picture any younger")

	counter.OnUpdate(node("a"), node("a"))
	_, asOf = counter.Cluster(spec())
	assert.Equal(t, testTime.Add(time.Minute), asOf, "a heartbeat shows that the watch is alive")
}

func TestWhichNodesCount(t *testing.T) {
	counter := newCounter()
	for _, one := range []*corev1.Node{
		node("plain"), node("labelled", labelled("pool", "big")), node("cordoned", cordoned),
		node("not-ready", notReady(corev1.ConditionFalse)), node("unreachable", notReady(corev1.ConditionUnknown)),
		node("silent", func(n *corev1.Node) { n.Status.Conditions = nil }),
		node("control-plane", controlPlane), node("virtual", virtualKubelet), node("deleting", deleting),
		node("gpu", tainted("gpu", "big", corev1.TaintEffectNoSchedule)), node("gpus", tainted("gpu", "", corev1.TaintEffectNoExecute)),
		node("cordoned-control-plane", controlPlane, cordoned, deleting),
	} {
		counter.OnAdd(one)
	}
	exists := func(key string, operator metav1.LabelSelectorOperator) v1alpha1.NodeSelector {
		return v1alpha1.NodeSelector{MatchExpressions: []v1alpha1.NodeSelectorRequirement{{Key: key, Operator: operator}}}
	}
	const role = "node-role.kubernetes.io/control-plane"
	for _, test := range []struct {
		name string
		spec *v1alpha1.KSMScaleSpec
		// without is how many of the twelve do not count.
		without int
	}{
		{"all but virtual kubelets by default", spec(), 1},
		{"a selector replaces the default", spec(selecting(v1alpha1.NodeSelector{})), 0},
		{"nodes with a label", spec(selecting(v1alpha1.NodeSelector{MatchLabels: map[string]v1alpha1.LabelValue{"pool": "big"}})), 11},
		{"nodes with a label of one of some values", spec(selecting(v1alpha1.NodeSelector{MatchExpressions: []v1alpha1.NodeSelectorRequirement{
			{Key: "pool", Operator: metav1.LabelSelectorOpIn, Values: []v1alpha1.LabelValue{"small", "big"}}}})), 11},
		{"workers", spec(selecting(exists(role, metav1.LabelSelectorOpDoesNotExist))), 2},
		{"control planes", spec(selecting(exists(role, metav1.LabelSelectorOpExists))), 10},
		{"schedulable", spec(schedulableOnly), 3},
		{"ready", spec(readyOnly), 4},
		{"schedulable and ready", spec(schedulableOnly, readyOnly), 6},
		{"without a taint of any value and effect", spec(ignoring(v1alpha1.IgnoredTaint{Key: "gpu"})), 3},
		{"without a taint of a value", spec(ignoring(v1alpha1.IgnoredTaint{Key: "gpu", Value: new(v1alpha1.LabelValue("big"))})), 2},
		{"without a taint without a value", spec(ignoring(v1alpha1.IgnoredTaint{Key: "gpu", Value: new(v1alpha1.LabelValue(""))})), 2},
		{"without a taint of an effect", spec(ignoring(v1alpha1.IgnoredTaint{Key: "gpu", Effect: corev1.TaintEffectNoExecute})), 2},
		{"without a taint that no node has", spec(ignoring(v1alpha1.IgnoredTaint{Key: "gpu", Effect: corev1.TaintEffectPreferNoSchedule})), 1},
		{"without any of two taints", spec(ignoring(v1alpha1.IgnoredTaint{Key: "gpu"}, v1alpha1.IgnoredTaint{Key: role})), 5},
		{"a selector that no API server would accept", spec(selecting(exists("a b", metav1.LabelSelectorOpExists))), 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			cluster, _ := counter.Cluster(test.spec)
			assert.Equal(t, 12-test.without, cluster.Nodes)
			assert.Equal(t, 12, cluster.Registered)
			assert.Equal(t, 10, cluster.Schedulable)
		})
	}
}

func TestWhichNodesPodsMayRunOn(t *testing.T) {
	zone := labelled(corev1.LabelTopologyZone, "a")
	counter := newCounter()
	for _, one := range []*corev1.Node{
		node("plain"), node("zoned", zone), node("zoned-disk", zone, labelled("disk", "ssd")),
		node("cordoned", zone, cordoned), node("not-ready", zone, tainted("node.kubernetes.io/not-ready", "", corev1.TaintEffectNoExecute)),
		node("dedicated", zone, tainted("dedicated", "batch", corev1.TaintEffectNoSchedule)),
		node("avoided", tainted("avoided", "", corev1.TaintEffectPreferNoSchedule)),
		node("windows", zone, labelled(corev1.LabelOSStable, "windows")),
		node("new", tainted("node.cloudprovider.kubernetes.io/uninitialized", "true", corev1.TaintEffectNoSchedule)),
	} {
		counter.OnAdd(one)
	}
	for _, test := range []struct {
		name             string
		strategy         v1alpha1.ReplicationStrategy
		template         *v1alpha1.PodTemplate
		placeable, zoned int
	}{
		{name: "nobody asks", strategy: v1alpha1.RoundRobin},
		{name: "any node, but for lasting taints", strategy: v1alpha1.ZoneAware, placeable: 6, zoned: 4},
		{name: "nodes with a label", strategy: v1alpha1.ZoneAware, placeable: 1, zoned: 1,
			template: &v1alpha1.PodTemplate{NodeSelector: map[string]v1alpha1.LabelValue{"disk": "ssd"}}},
		{name: "nodes of another operating system", strategy: v1alpha1.ZoneAware, placeable: 1, zoned: 1,
			template: &v1alpha1.PodTemplate{NodeSelector: map[string]v1alpha1.LabelValue{corev1.LabelOSStable: "windows"}}},
		{name: "nodes with a taint too", strategy: v1alpha1.ZoneAware, placeable: 7, zoned: 5,
			template: &v1alpha1.PodTemplate{Tolerations: []v1alpha1.Toleration{{Key: "dedicated", Operator: corev1.TolerationOpExists}}}},
		{name: "nodes that an affinity is to", strategy: v1alpha1.ZoneAware, placeable: 5, zoned: 3,
			template: &v1alpha1.PodTemplate{Affinity: affinityTo("disk", corev1.NodeSelectorOpDoesNotExist)}},
		{name: "nodes with a label that an affinity is to", strategy: v1alpha1.ZoneAware,
			template: &v1alpha1.PodTemplate{NodeSelector: map[string]v1alpha1.LabelValue{"disk": "ssd"}, Affinity: affinityTo("disk", corev1.NodeSelectorOpDoesNotExist)}},
		{name: "no node, by an affinity that cannot be read", strategy: v1alpha1.ZoneAware,
			template: &v1alpha1.PodTemplate{Affinity: affinityTo("disk", "Is")}},
		{name: "any node, if it only had rather others", strategy: v1alpha1.ZoneAware, placeable: 6, zoned: 4,
			template: &v1alpha1.PodTemplate{Affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{}}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			ksmScaleSpec := &v1alpha1.KSMScaleSpec{Sharding: &v1alpha1.ShardingConfig{ReplicationStrategy: test.strategy}, Template: test.template}
			cluster, _ := counter.Cluster(ksmScaleSpec)
			assert.Equal(t, test.placeable, cluster.Placeable)
			assert.Equal(t, test.zoned, cluster.Zoned)
			assert.Equal(t, 9, cluster.Nodes, "which is another question")
		})
	}
}

func affinityTo(label string, operator corev1.NodeSelectorOperator) *corev1.Affinity {
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: label, Operator: operator}}}},
	}}}
}

func TestChangesOfCountsAreTold(t *testing.T) {
	counter := newCounter()
	counter.OnAdd(node("a"))
	var changes int
	counter.OnChange(func() { changes++ })
	notReadyNow := node("a", notReady(corev1.ConditionFalse))
	counter.OnUpdate(node("a"), notReadyNow)
	assert.Zero(t, changes, "nobody asks for ready nodes")

	counter.Cluster(spec(readyOnly))
	counter.OnUpdate(notReadyNow, node("a"))
	assert.Equal(t, 1, changes)
	counter.OnUpdate(node("a"), node("a", labelled("a", "b")))
	assert.Equal(t, 1, changes, "a label that nobody selects by")

	require.NoError(t, counter.Keep(func() ([]*v1alpha1.KSMScaleSpec, error) {
		return []*v1alpha1.KSMScaleSpec{spec()}, nil
	}))
	counter.OnUpdate(node("a"), notReadyNow)
	assert.Equal(t, 1, changes, "nobody asks for ready nodes any more")
	cluster, _ := counter.Cluster(spec(readyOnly))
	assert.Zero(t, cluster.Nodes, "and whoever does again gets what is true now")
}

// choice is one of several draws. They have an order, so a draw can be repeated.
type choice[T any] struct {
	name string
	make func(T)
}

func draw[T any](t *rapid.T, choices ...choice[T]) []func(T) {
	var drawn []func(T)
	for _, candidate := range choices {
		if rapid.Bool().Draw(t, candidate.name) {
			drawn = append(drawn, candidate.make)
		}
	}
	return drawn
}

func drawNode(t *rapid.T) *corev1.Node {
	return node("node-"+strconv.Itoa(rapid.IntRange(0, 5).Draw(t, "name")), draw(t,
		choice[*corev1.Node]{"cordoned", cordoned}, choice[*corev1.Node]{"not ready", notReady(corev1.ConditionFalse)},
		choice[*corev1.Node]{"virtual", virtualKubelet}, choice[*corev1.Node]{"control plane", controlPlane},
		choice[*corev1.Node]{"deleting", deleting}, choice[*corev1.Node]{"of the pool", labelled("pool", "big")},
		choice[*corev1.Node]{"in a zone", labelled(corev1.LabelTopologyZone, "a")},
		choice[*corev1.Node]{"gpu", tainted("gpu", "big", corev1.TaintEffectNoSchedule)})...)
}

func drawSpec(t *rapid.T) *v1alpha1.KSMScaleSpec {
	s := spec(draw(t,
		choice[*v1alpha1.NodesConfig]{"schedulable only", schedulableOnly}, choice[*v1alpha1.NodesConfig]{"ready only", readyOnly},
		choice[*v1alpha1.NodesConfig]{"all", selecting(v1alpha1.NodeSelector{})},
		choice[*v1alpha1.NodesConfig]{"of the pool", selecting(v1alpha1.NodeSelector{MatchLabels: map[string]v1alpha1.LabelValue{"pool": "big"}})},
		choice[*v1alpha1.NodesConfig]{"without gpus", ignoring(v1alpha1.IgnoredTaint{Key: "gpu"})})...)
	s.Sharding = &v1alpha1.ShardingConfig{
		ReplicationStrategy: rapid.SampledFrom([]v1alpha1.ReplicationStrategy{v1alpha1.RoundRobin, v1alpha1.ZoneAware}).Draw(t, "strategy"),
	}
	return s
}

// After any sequence of node events and requests, a count is the same as a new count of all nodes.
func TestCountsAreThoseOfARecount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		counter, there := newCounter(), map[string]*corev1.Node{}
		specs := []*v1alpha1.KSMScaleSpec{spec()}
		t.Repeat(map[string]func(*rapid.T){
			"a node comes or changes": func(t *rapid.T) {
				one := drawNode(t)
				if before, ok := there[one.Name]; ok {
					counter.OnUpdate(before, one)
				} else {
					counter.OnAdd(one)
				}
				there[one.Name] = one
			},
			"a node goes": func(t *rapid.T) {
				one := drawNode(t)
				counter.OnDelete(one)
				delete(there, one.Name)
			},
			"a KSMScale comes": func(t *rapid.T) {
				specs = append(specs, drawSpec(t))
			},
			"a KSMScale goes": func(t *rapid.T) {
				specs = specs[1:]
				if err := counter.Keep(func() ([]*v1alpha1.KSMScaleSpec, error) { return specs, nil }); err != nil {
					t.Fatal(err)
				}
				specs = append(specs, spec())
			},
			"": func(t *rapid.T) {
				fresh := newCounter()
				for _, one := range there {
					fresh.OnAdd(one)
				}
				for _, ksmScaleSpec := range specs {
					actual, _ := counter.Cluster(ksmScaleSpec)
					want, _ := fresh.Cluster(ksmScaleSpec)
					assert.Equal(t, want, actual, "%+v", ksmScaleSpec.Nodes)
				}
			},
		})
	})
}

func TestNotSyncedBeforeTheFirstList(t *testing.T) {
	counter := nodes.NewCounter(clocktesting.NewFakePassiveClock(testTime))
	_, _, ok := counter.Cluster(spec())
	assert.False(t, ok)
	assert.False(t, counter.Synced())
	require.NoError(t, counter.Listing().Replace(nil, ""))
	assert.True(t, counter.Synced())
	_, _, ok = counter.Cluster(spec())
	assert.True(t, ok)
}

func TestNoCountOfALabelUntilNodesAreListedWithIt(t *testing.T) {
	counter := newCounter()
	var changes int
	counter.OnChange(func() { changes++ })
	counter.OnAdd(node("a", labelled("pool", "big")))
	counter.OnAdd(node("b"))
	changes = 0
	big := spec(selecting(v1alpha1.NodeSelector{MatchLabels: map[string]v1alpha1.LabelValue{"pool": "big"}}))
	previous := counter.listing

	_, _, ok := counter.Counter.Cluster(big)
	require.False(t, ok, "the label has not been kept")
	second := counter.Listing()
	counter.OnAdd(node("c", labelled("pool", "big")))
	_, _, ok = counter.Counter.Cluster(big)
	require.False(t, ok, "nor for a node that comes meanwhile")
	cluster, _ := counter.Cluster(spec())
	assert.Equal(t, 3, cluster.Nodes, "the previous listing still counts")
	changes = 0

	require.NoError(t, second.Replace([]any{counter.there["a"], counter.there["b"], counter.there["c"]}, ""))
	assert.Equal(t, 1, changes, "whoever waits learns that there is a count")
	cluster, _, ok = counter.Counter.Cluster(big)
	require.True(t, ok)
	assert.Equal(t, 2, cluster.Nodes)

	require.NoError(t, previous.Delete(node("a")))
	require.NoError(t, previous.Replace(nil, ""))
	require.NoError(t, second.Add(node("d", labelled("pool", "big"))))
	cluster, _, _ = counter.Counter.Cluster(big)
	assert.Equal(t, 3, cluster.Nodes, "the previous listing is ignored")
}

func TestKinds(t *testing.T) {
	small := func(nodes int) scaling.NodeKind {
		return scaling.NodeKind{CPU: 1500, Memory: 1 << 30, OS: "linux", Nodes: nodes}
	}
	large := func(nodes int) scaling.NodeKind {
		return scaling.NodeKind{CPU: 32000, Memory: 4 << 30, OS: "linux", Nodes: nodes}
	}
	counter := newCounter()
	changes := 0
	counter.OnChange(func() { changes++ })
	assert.Empty(t, counter.Kinds())
	counter.OnAdd(node("a", room("1500m", "1Gi")))
	counter.OnAdd(node("b", room("1.5", "1024Mi")))
	counter.OnAdd(node("c", room("32", "4Gi")))
	counter.OnAdd(node("d"))
	assert.ElementsMatch(t, []scaling.NodeKind{small(2), large(1)}, counter.Kinds(), "one that has told nothing yet is of no kind")

	counter.OnUpdate(nil, node("a", room("1500m", "1Gi")))
	assert.ElementsMatch(t, []scaling.NodeKind{small(2), large(1)}, counter.Kinds(), "a heartbeat")
	before := changes
	counter.OnUpdate(nil, node("a", room("32", "4Gi")))
	assert.Equal(t, before+1, changes)
	counter.OnUpdate(nil, node("a", room("16", "4Gi"), func(n *corev1.Node) { n.Status.Conditions = nil }))
	assert.Equal(t, before+2, changes, "with another condition at the same time")
	counter.OnUpdate(nil, node("a", room("32", "4Gi")))
	assert.ElementsMatch(t, []scaling.NodeKind{small(1), large(2)}, counter.Kinds())
	counter.OnDelete(node("b", room("1500m", "1Gi")))
	counter.OnDelete(node("unknown", room("1", "1Gi")))
	assert.Equal(t, []scaling.NodeKind{large(2)}, counter.Kinds())

	counter.OnUpdate(nil, node("a", room("32", "4Gi"), labelled(corev1.LabelOSStable, "windows")))
	windows := scaling.NodeKind{CPU: 32000, Memory: 4 << 30, OS: "windows", Nodes: 1}
	assert.ElementsMatch(t, []scaling.NodeKind{large(1), windows}, counter.Kinds())
	counter.list()
	assert.ElementsMatch(t, []scaling.NodeKind{large(1), windows}, counter.Kinds())
}

func room(cpu, memory string) func(*corev1.Node) {
	return func(n *corev1.Node) {
		n.Status.Allocatable = corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory), corev1.ResourcePods: resource.MustParse("110"),
		}
	}
}

func BenchmarkCluster(b *testing.B) {
	for _, number := range []int{100, 1000, 5000, 15000} {
		b.Run(fmt.Sprintf("nodes=%d", number), func(b *testing.B) {
			counter, ksmScaleSpec := newCounter(), spec(schedulableOnly)
			for i := range number {
				counter.OnAdd(node("node-" + strconv.Itoa(i)))
			}
			b.ReportAllocs()
			for b.Loop() {
				counter.Cluster(ksmScaleSpec)
			}
		})
	}
}
