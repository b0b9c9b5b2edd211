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

// Allocatable records how much room for pods the nodes of the cluster have, from a watch. It is safe for concurrent use.
// Create it with NewAllocatable, and start it with Watch.
type Allocatable struct {
	mu    sync.RWMutex
	nodes map[string]room
	kinds map[room]int
}

// room is the capacity of a node for pods, and the operating system of these pods.
type room struct {
	cpu, memory int64
	os          string
}

var _ toolscache.ResourceEventHandler = (*Allocatable)(nil)

// NewAllocatable returns an Allocatable without nodes.
func NewAllocatable() *Allocatable {
	return &Allocatable{nodes: map[string]room{}, kinds: map[room]int{}}
}

// Watch starts to observe the nodes of a cache, which may start before or after.
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

// Kinds are the kinds of nodes in the cluster, in no order.
func (a *Allocatable) Kinds() []scaling.NodeKind {
	a.mu.RLock()
	defer a.mu.RUnlock()
	kinds := make([]scaling.NodeKind, 0, len(a.kinds))
	for kind, nodes := range a.kinds {
		kinds = append(kinds, scaling.NodeKind{CPU: kind.cpu, Memory: kind.memory, OS: kind.os, Nodes: nodes})
	}
	return kinds
}

// OnAdd records a node. It is part of toolscache.ResourceEventHandler.
func (a *Allocatable) OnAdd(obj any, _ bool) { a.OnUpdate(nil, obj) }

// OnUpdate records a node again. It is part of toolscache.ResourceEventHandler.
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
		return // Its kubelet has not reported the capacity yet.
	}
	kind.os = node.Labels[corev1.LabelOSStable]
	a.nodes[node.Name] = kind
	a.kinds[kind]++
}

// OnDelete removes a node. It is part of toolscache.ResourceEventHandler.
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
	before, known := a.nodes[node]
	if !known {
		return
	}
	delete(a.nodes, node)
	if a.kinds[before]--; a.kinds[before] == 0 {
		delete(a.kinds, before)
	}
}

// allocatable is the part of a node's status that Allocatable reads.
func allocatable(node *corev1.Node) corev1.NodeStatus {
	all := maps.Clone(node.Status.Allocatable)
	maps.DeleteFunc(all, func(name corev1.ResourceName, _ resource.Quantity) bool {
		return name != corev1.ResourceCPU && name != corev1.ResourceMemory
	})
	return corev1.NodeStatus{Allocatable: all}
}
