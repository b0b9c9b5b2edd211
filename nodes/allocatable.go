package nodes

import (
	"context"
	"fmt"
	"maps"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/example/ksmscale/scaling"
)

// Allocatable knows how much room for pods the nodes of the cluster have, as a watch reports them. It is safe for
// concurrent use. Create it with NewAllocatable, and start it with Watch.
type Allocatable struct {
	mu    sync.RWMutex
	nodes map[string]room
	kinds map[room]int
}

// room is what a node has for pods, and for pods of which operating system.
type room struct {
	cpu, memory int64
	os          string
}

var _ toolscache.ResourceEventHandler = (*Allocatable)(nil)

// NewAllocatable returns one that has not seen any node.
func NewAllocatable() *Allocatable {
	return &Allocatable{nodes: map[string]room{}, kinds: map[room]int{}}
}

// Watch begins to look at the nodes in a cache, which may be started before or after.
func (a *Allocatable) Watch(ctx context.Context, nodes cache.Cache) error {
	informer, err := nodes.GetInformer(ctx, &corev1.Node{}, cache.BlockUntilSynced(false))
	if err != nil {
		return fmt.Errorf("watch nodes: %w", err)
	}
	if _, err := informer.AddEventHandler(a); err != nil {
		return fmt.Errorf("watch nodes: %w", err)
	}
	return nil
}

// Kinds are the kinds of nodes that there are, in no order.
func (a *Allocatable) Kinds() []scaling.NodeKind {
	a.mu.RLock()
	defer a.mu.RUnlock()
	kinds := make([]scaling.NodeKind, 0, len(a.kinds))
	for room, nodes := range a.kinds {
		kinds = append(kinds, scaling.NodeKind{CPU: room.cpu, Memory: room.memory, OS: room.os, Nodes: nodes})
	}
	return kinds
}

// OnAdd looks at a node. It is part of toolscache.ResourceEventHandler.
func (a *Allocatable) OnAdd(obj any, _ bool) { a.OnUpdate(nil, obj) }

// OnUpdate looks at a node again. It is part of toolscache.ResourceEventHandler.
func (a *Allocatable) OnUpdate(_, obj any) {
	node, ok := obj.(*corev1.Node)
	if !ok {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.remove(node.Name)
	kind := room{cpu: node.Status.Allocatable.Cpu().MilliValue(), memory: node.Status.Allocatable.Memory().Value()}
	if kind == (room{}) {
		return // Its kubelet has not told yet.
	}
	kind.os = node.Labels[corev1.LabelOSStable]
	a.nodes[node.Name] = kind
	a.kinds[kind]++
}

// OnDelete forgets a node. It is part of toolscache.ResourceEventHandler.
func (a *Allocatable) OnDelete(obj any) {
	if missed, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
		obj = missed.Obj
	}
	if node, ok := obj.(*corev1.Node); ok {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.remove(node.Name)
	}
}

func (a *Allocatable) remove(node string) {
	was, known := a.nodes[node]
	if !known {
		return
	}
	delete(a.nodes, node)
	if a.kinds[was]--; a.kinds[was] == 0 {
		delete(a.kinds, was)
	}
}

// allocatable is what a cache needs to keep of a node's status for this.
func allocatable(node *corev1.Node) corev1.NodeStatus {
	all := maps.Clone(node.Status.Allocatable)
	maps.DeleteFunc(all, func(name corev1.ResourceName, _ resource.Quantity) bool {
		return name != corev1.ResourceCPU && name != corev1.ResourceMemory
	})
	return corev1.NodeStatus{Allocatable: all}
}
