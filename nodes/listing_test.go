package nodes

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"pgregory.net/rapid"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/scaling"
)

// someLabels are keys that the specs of a test can name. The last one is unique for each node.
var someLabels = []string{"pool", "type", corev1.LabelOSStable, corev1.LabelTopologyZone, "team", corev1.LabelHostname}

func drawFullNode(t *rapid.T) *corev1.Node {
	name := "node-" + strconv.Itoa(rapid.IntRange(0, 5).Draw(t, "name"))
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}},
		Spec:       corev1.NodeSpec{Unschedulable: rapid.Bool().Draw(t, "cordoned")},
	}
	for _, key := range someLabels[:5] {
		if value := rapid.SampledFrom([]string{"none", "", "1", "9", "virtual-kubelet", "linux"}).Draw(t, key); value != "none" {
			node.Labels[key] = value
		}
	}
	for _, key := range []string{"gpu", "node.kubernetes.io/unreachable"} {
		if rapid.Bool().Draw(t, key) {
			node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{
				Key: key, Value: rapid.SampledFrom([]string{"", "a"}).Draw(t, "taint"), Effect: corev1.TaintEffectNoSchedule,
				TimeAdded: &metav1.Time{Time: time.Unix(1, 0)},
			})
		}
	}
	for _, kind := range []corev1.NodeConditionType{corev1.NodeDiskPressure, corev1.NodeReady} {
		status := rapid.SampledFrom([]corev1.ConditionStatus{"True", "False", "Unknown"}).Draw(t, string(kind))
		node.Status.Conditions = append(node.Status.Conditions, corev1.NodeCondition{Type: kind, Status: status})
	}
	return node
}

func drawFullSpec(t *rapid.T) *v1alpha1.KSMScaleSpec {
	spec := &v1alpha1.KSMScaleSpec{Sharding: &v1alpha1.ShardingConfig{
		ReplicationStrategy: rapid.SampledFrom([]v1alpha1.ReplicationStrategy{v1alpha1.RoundRobin, v1alpha1.ZoneAware}).Draw(t, "strategy"),
	}}
	spec.Nodes.ReadyOnly, spec.Nodes.SchedulableOnly = rapid.Bool().Draw(t, "ready"), rapid.Bool().Draw(t, "schedulable")
	if rapid.Bool().Draw(t, "ignores") {
		spec.Nodes.IgnoredTaints = []v1alpha1.IgnoredTaint{{Key: "gpu", Value: new(v1alpha1.LabelValue("a"))}}
	}
	if rapid.Bool().Draw(t, "selects") {
		operator := rapid.SampledFrom([]metav1.LabelSelectorOperator{"In", "NotIn", "Exists", "DoesNotExist"}).Draw(t, "operator")
		requirement := v1alpha1.NodeSelectorRequirement{Key: rapid.SampledFrom(someLabels).Draw(t, "key"), Operator: operator}
		if operator == "In" || operator == "NotIn" {
			requirement.Values = []v1alpha1.LabelValue{"1", "node-1"}
		}
		spec.Nodes.Selector = &v1alpha1.NodeSelector{MatchExpressions: []v1alpha1.NodeSelectorRequirement{requirement}}
	}
	spec.Template = &v1alpha1.PodTemplate{}
	if rapid.Bool().Draw(t, "node selector") {
		spec.Template.NodeSelector = map[string]v1alpha1.LabelValue{rapid.SampledFrom(someLabels).Draw(t, "key"): "1"}
	}
	if rapid.Bool().Draw(t, "affinity") {
		spec.Template.Affinity = drawAffinity(t)
	}
	return spec
}

func drawAffinity(t *rapid.T) *corev1.Affinity {
	var terms []corev1.NodeSelectorTerm
	for range rapid.IntRange(1, 2).Draw(t, "terms") {
		terms = append(terms, rapid.SampledFrom([]corev1.NodeSelectorTerm{
			{},
			{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "pool", Operator: corev1.NodeSelectorOpGt, Values: []string{"5"}}}},
			{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "team", Operator: corev1.NodeSelectorOpDoesNotExist}}},
			{MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{"node-2"}}}},
			{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpExists}},
				MatchFields:      []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpNotIn, Values: []string{"node-3"}}},
			},
		}).Draw(t, "term"))
	}
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: terms},
	}}
}

// countFull is the picture for a spec from whole Node objects.
func countFull(spec *v1alpha1.KSMScaleSpec, there map[string]*corev1.Node) scaling.Cluster {
	selection, placement := newSelection(spec), newPlacement(spec)
	cluster := scaling.Cluster{Registered: len(there)}
	number := func(counts bool) int {
		if counts {
			return 1
		}
		return 0
	}
	for _, node := range there {
		cluster.Nodes += number(selection.counts(node))
		cluster.Schedulable += number(!node.Spec.Unschedulable)
		if placement != nil {
			cluster.Placeable += number(placement.allows(node))
			cluster.Zoned += number(placement.allows(node) && node.Labels[corev1.LabelTopologyZone] != "")
		}
	}
	return cluster
}

// At any time, each answer is the same as from whole Node objects, or there is none because nodes have to be listed again.
// After that list, there is one.
func TestCountsAreThoseOfWholeNodes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		counter, there := NewCounter(clocktesting.NewFakePassiveClock(time.Unix(1, 0))), map[string]*corev1.Node{}
		listing := counter.Listing()
		require.NoError(t, listing.Replace(nil, ""))
		specs := []*v1alpha1.KSMScaleSpec{{}}
		list := func() {
			listing = counter.Listing()
			reduce := listing.Transformer()
			var all []any
			for _, node := range there {
				reduced, err := reduce(node.DeepCopy())
				require.NoError(t, err)
				all = append(all, reduced)
			}
			require.NoError(t, listing.Replace(all, ""))
		}
		t.Repeat(map[string]func(*rapid.T){
			"a node comes or changes": func(t *rapid.T) {
				node := drawFullNode(t)
				there[node.Name] = node
				require.NoError(t, listing.Update(node))
			},
			"a node goes": func(t *rapid.T) {
				node := drawFullNode(t)
				delete(there, node.Name)
				require.NoError(t, listing.Delete(node))
			},
			"a KSMScale comes": func(t *rapid.T) { specs = append(specs, drawFullSpec(t)) },
			"a KSMScale goes": func(t *rapid.T) {
				specs = append(specs[1:], &v1alpha1.KSMScaleSpec{})
				require.NoError(t, counter.Keep(func() ([]*v1alpha1.KSMScaleSpec, error) { return specs, nil }))
			},
			"nodes are listed again": func(*rapid.T) { list() },
			"": func(t *rapid.T) {
				complete := true
				for _, spec := range specs {
					if actual, _, ok := counter.Cluster(spec); ok {
						require.Equal(t, countFull(spec, there), actual)
					} else {
						complete = false
					}
				}
				if rapid.Bool().Draw(t, "lists") && !complete {
					list()
					for _, spec := range specs {
						actual, _, ok := counter.Cluster(spec)
						require.True(t, ok, "listed with all labels")
						require.Equal(t, countFull(spec, there), actual)
					}
				}
				require.Equal(t, len(there), nodesOf(counter.kinds))
				require.Equal(t, len(there), nodesOf(counter.rooms))
			},
		})
	})
}

func nodesOf[T comparable](all sharing[T]) (nodes int) {
	for _, one := range all {
		nodes += one.nodes
	}
	return nodes
}

func TestKindsOfNodesShareMemory(t *testing.T) {
	counter := NewCounter(clocktesting.NewFakePassiveClock(time.Unix(1, 0)))
	listing := counter.Listing()
	require.NoError(t, listing.Replace(nil, ""))
	for i := range 100 {
		require.NoError(t, listing.Add(largeNode(i)))
	}
	assert.Len(t, counter.nodes, 100)
	assert.Len(t, counter.kinds, 3, "one of each zone")
	assert.Len(t, counter.rooms, 1)
	for encoded := range counter.kinds {
		assert.NotContains(t, encoded, "example.com/label", "no label that nobody names")
	}
	assert.True(t, strings.Contains(slices.Collect(maps.Keys(counter.kinds))[0], "zone-"))
}

// largeNode is a node as a cloud has it: with 25 labels, conditions, images and annotations.
func largeNode(number int) *corev1.Node {
	name := fmt.Sprintf("ip-10-%d-%d-%d.eu-central-1.compute.internal", number>>16&255, number>>8&255, number&255)
	room := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("7910m"), corev1.ResourceMemory: resource.MustParse("31482280Ki"), corev1.ResourcePods: resource.MustParse("58")}
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: "d5a3c7de-8f4f-4f5f-9f0b-3b8f3f1c9b7a", ResourceVersion: strconv.Itoa(number), Labels: map[string]string{
			corev1.LabelHostname: name, corev1.LabelOSStable: "linux", corev1.LabelTopologyZone: "zone-" + string("abc"[number%3]),
		}},
		Status: corev1.NodeStatus{Capacity: room, Allocatable: room, Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}},
	}
	for i := range 22 {
		node.Labels[fmt.Sprintf("example.com/label-%02d", i)] = fmt.Sprintf("value-%02d", i)
	}
	return node
}

// BenchmarkHeap reports the live heap of each node, beside trimmed Node objects with all labels in a map, which is the
// least that a cache of Node objects keeps.
func BenchmarkHeap(b *testing.B) {
	const number = 5000
	for _, test := range []struct {
		name string
		spec *v1alpha1.KSMScaleSpec
	}{
		{"usual labels", &v1alpha1.KSMScaleSpec{}},
		{"a label of each node", &v1alpha1.KSMScaleSpec{Nodes: v1alpha1.NodesConfig{Selector: &v1alpha1.NodeSelector{MatchExpressions: []v1alpha1.NodeSelectorRequirement{
			{Key: corev1.LabelHostname, Operator: metav1.LabelSelectorOpExists}}}}}},
	} {
		b.Run(test.name, func(b *testing.B) {
			for b.Loop() {
				objects := heapOf(func() any {
					all := map[string]*corev1.Node{}
					for i := range number {
						node := largeNode(i)
						all[node.Name] = &corev1.Node{
							ObjectMeta: metav1.ObjectMeta{Name: node.Name, UID: node.UID, ResourceVersion: node.ResourceVersion, Labels: node.Labels},
							Status:     corev1.NodeStatus{Allocatable: node.Status.Allocatable, Conditions: node.Status.Conditions},
						}
					}
					return all
				})
				counted := heapOf(func() any {
					counter := NewCounter(clocktesting.NewFakePassiveClock(time.Unix(1, 0)))
					counter.Cluster(test.spec)
					listing := counter.Listing()
					var all []any
					for i := range number {
						node, err := listing.Transformer()(largeNode(i))
						require.NoError(b, err)
						all = append(all, node)
					}
					require.NoError(b, listing.Replace(all, ""))
					if _, _, ok := counter.Cluster(test.spec); !ok {
						b.Fatal("the nodes have been listed with all labels")
					}
					return counter
				})
				b.ReportMetric(float64(counted)/number, "B/node")
				b.ReportMetric(float64(objects)/number, "B/object")
				b.ReportMetric(float64(counted)/float64(objects), "ratio")
			}
		})
	}
}

// heapOf is how many bytes of the heap are in use after a function because of its result.
func heapOf(create func() any) uint64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	created := create()
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(created)
	return after.HeapAlloc - min(before.HeapAlloc, after.HeapAlloc)
}

// BenchmarkHeartbeat is what a heartbeat of one node costs after it has been decoded.
func BenchmarkHeartbeat(b *testing.B) {
	counter := NewCounter(clocktesting.NewFakePassiveClock(time.Unix(1, 0)))
	listing := counter.Listing()
	node := largeNode(1)
	require.NoError(b, listing.Replace([]any{node}, ""))
	b.ReportAllocs()
	for b.Loop() {
		if err := listing.Update(node); err != nil {
			b.Fatal(err)
		}
	}
}
