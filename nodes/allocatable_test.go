package nodes

import (
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/example/ksmscale/scaling"
)

func nodeWithRoom(name, cpu, memory string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelOSStable: "linux"}}, Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory), corev1.ResourcePods: resource.MustParse("110"),
	}}}
}

func TestAllocatable(t *testing.T) {
	a := NewAllocatable()
	small := func(nodes int) scaling.NodeKind {
		return scaling.NodeKind{CPU: 1500, Memory: 1 << 30, OS: "linux", Nodes: nodes}
	}
	large := func(nodes int) scaling.NodeKind {
		return scaling.NodeKind{CPU: 32000, Memory: 4 << 30, OS: "linux", Nodes: nodes}
	}
	assert.Empty(t, a.Kinds())
	a.OnAdd(nodeWithRoom("a", "1500m", "1Gi"), true)
	a.OnAdd(nodeWithRoom("b", "1.5", "1024Mi"), true)
	a.OnAdd(nodeWithRoom("c", "32", "4Gi"), false)
	a.OnAdd(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "d"}}, false)
	assert.ElementsMatch(t, []scaling.NodeKind{small(2), large(1)}, a.Kinds(), "one that has told nothing yet is of no kind")

	a.OnUpdate(nil, nodeWithRoom("a", "1500m", "1Gi"))
	assert.ElementsMatch(t, []scaling.NodeKind{small(2), large(1)}, a.Kinds(), "a heartbeat")
	a.OnUpdate(nil, nodeWithRoom("a", "32", "4Gi"))
	assert.ElementsMatch(t, []scaling.NodeKind{small(1), large(2)}, a.Kinds())
	a.OnDelete(toolscache.DeletedFinalStateUnknown{Key: "b", Obj: nodeWithRoom("b", "1500m", "1Gi")})
	a.OnDelete(nodeWithRoom("unknown", "1", "1Gi"))
	assert.Equal(t, []scaling.NodeKind{large(2)}, a.Kinds())

	windows := nodeWithRoom("a", "32", "4Gi")
	windows.Labels[corev1.LabelOSStable] = "windows"
	a.OnUpdate(nil, windows)
	assert.ElementsMatch(t, []scaling.NodeKind{large(1), {CPU: 32000, Memory: 4 << 30, OS: "windows", Nodes: 1}}, a.Kinds())
}

func TestCacheHoldsTheRoom(t *testing.T) {
	node := nodeWithRoom("a", "1500m", "1Gi")
	node.Status.Capacity = node.Status.Allocatable
	held, err := ForCache().Transform(node)
	assert.NoError(t, err)
	a := NewAllocatable()
	a.OnAdd(held, true)
	assert.Equal(t, []scaling.NodeKind{{CPU: 1500, Memory: 1 << 30, OS: "linux", Nodes: 1}}, a.Kinds())
	kept, ok := held.(*corev1.Node)
	assert.True(t, ok)
	assert.Len(t, kept.Status.Allocatable, 2)
	assert.Nil(t, kept.Status.Capacity)
	assert.Len(t, node.Status.Allocatable, 3, "the object itself is left as it is")
}
