package nodes

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/example/ksmscale/scaling"
)

// Counter counts the nodes of the cluster as a watch reports them. It is safe for concurrent use. Create it with
// NewCounter, and start it with Watch.
type Counter struct {
	clock clock.PassiveClock

	mu       sync.RWMutex
	counted  sets.Set[string]
	asOf     time.Time
	watching func() bool
	onChange []func()
}

var _ toolscache.ResourceEventHandler = (*Counter)(nil)

// NewCounter returns a Counter that has not seen any node.
func NewCounter(clock clock.PassiveClock) *Counter {
	return &Counter{clock: clock, counted: sets.New[string](), watching: func() bool { return false }}
}

// Watch begins to count the nodes in a cache, which may be started before or after.
func (c *Counter) Watch(ctx context.Context, nodes cache.Cache) error {
	informer, err := nodes.GetInformer(ctx, &corev1.Node{}, cache.BlockUntilSynced(false))
	if err != nil {
		return fmt.Errorf("watch nodes: %w", err)
	}
	registration, err := informer.AddEventHandler(c)
	if err != nil {
		return fmt.Errorf("watch nodes: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watching = registration.HasSynced
	return nil
}

// Synced tells whether every node that existed when the watch began has been counted. Before that, Cluster has
// too few.
func (c *Counter) Synced() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.watching()
}

// Cluster returns the picture, and the time it was taken: that of the last event about any node, heartbeats
// included, so that a watch that has fallen silent shows as a picture that grows old.
func (c *Counter) Cluster() (scaling.Cluster, time.Time) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return scaling.Cluster{Nodes: c.counted.Len()}, c.asOf
}

// OnChange has notify called after each change of the picture, from the goroutine of the watch: it must not
// block. Heartbeats change nothing.
func (c *Counter) OnChange(notify func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onChange = append(c.onChange, notify)
}

// OnAdd counts a node. It is part of toolscache.ResourceEventHandler.
func (c *Counter) OnAdd(obj any, _ bool) { c.observe(obj, false) }

// OnUpdate counts a node, or no longer. It is part of toolscache.ResourceEventHandler.
func (c *Counter) OnUpdate(_, obj any) { c.observe(obj, false) }

// OnDelete no longer counts a node. It is part of toolscache.ResourceEventHandler.
func (c *Counter) OnDelete(obj any) {
	if missed, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
		obj = missed.Obj
	}
	c.observe(obj, true)
}

func (c *Counter) observe(obj any, deleted bool) {
	node, ok := obj.(*corev1.Node)
	if !ok {
		return
	}
	for _, notify := range c.count(node, deleted) {
		notify()
	}
}

// count returns whom to notify, which is done without the lock so that they may ask for the picture.
func (c *Counter) count(node *corev1.Node, deleted bool) []func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asOf = c.clock.Now()
	before := c.counted.Len()
	if deleted || !counts(node) {
		c.counted.Delete(node.Name)
	} else {
		c.counted.Insert(node.Name)
	}
	if c.counted.Len() == before {
		return nil
	}
	return c.onChange
}

// counts tells whether a node counts: every registered one does, whether pods can be scheduled there or not,
// because kube-state-metrics' load is the cluster's objects, which stay while nodes are cordoned for an upgrade.
// Virtual kubelets do not: they stand for capacity elsewhere.
func counts(node *corev1.Node) bool {
	return node.Labels["type"] != "virtual-kubelet"
}

// ForCache is how a cache should hold nodes: without all that a Counter does not look at, which is nearly all of
// a node.
func ForCache() cache.ByObject {
	return cache.ByObject{Transform: func(obj any) (any, error) {
		node, ok := obj.(*corev1.Node)
		if !ok {
			return obj, nil
		}
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{
			Name: node.Name, UID: node.UID, ResourceVersion: node.ResourceVersion, Labels: node.Labels,
		}, Status: allocatable(node)}, nil
	}}
}
