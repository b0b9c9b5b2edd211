package nodes

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/scaling"
)

// Counter counts the nodes of the cluster as a watch reports them, for each KSMScale as its spec.nodes says. The
// first time that it is asked for a spec it looks at every node; after that it looks at those that change. It is safe
// for concurrent use. Create it with NewCounter, and start it with Watch.
type Counter struct {
	clock clock.PassiveClock

	mu sync.RWMutex
	// nodes are the registered nodes by name, as the watch has them.
	nodes       map[string]*corev1.Node
	schedulable int
	// counts are those that have been asked for, by the key of the spec.
	counts   map[string]*count
	asOf     time.Time
	watching func() bool
	onChange []func()
}

// count is the number of nodes that are in a selection. If there is a placement, it also has the number of nodes that it allows, and how
// many of these have a zone.
type count struct {
	selection
	*placement
	nodes, placeable, zoned int
}

var _ toolscache.ResourceEventHandler = (*Counter)(nil)

// NewCounter returns a Counter that has not seen any node.
func NewCounter(clock clock.PassiveClock) *Counter {
	return &Counter{
		clock: clock, nodes: map[string]*corev1.Node{}, counts: map[string]*count{}, watching: func() bool { return false },
	}
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

// AsOf is when the picture was taken: the time of the last event about any node, heartbeats included, so that a watch
// that has fallen silent shows as a picture that grows old.
func (c *Counter) AsOf() time.Time {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.asOf
}

// Cluster returns the picture for a KSMScale, and the time it was taken.
func (c *Counter) Cluster(spec *v1alpha1.KSMScaleSpec) (scaling.Cluster, time.Time) {
	key := key(spec)
	if cluster, asOf, ok := c.known(key); ok {
		return cluster, asOf
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts[key] == nil {
		c.counts[key] = c.countAll(spec)
	}
	return c.picture(c.counts[key]), c.asOf
}

func (c *Counter) known(key string) (scaling.Cluster, time.Time, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	count, ok := c.counts[key]
	if !ok {
		return scaling.Cluster{}, time.Time{}, false
	}
	return c.picture(count), c.asOf, true
}

func (c *Counter) countAll(spec *v1alpha1.KSMScaleSpec) *count {
	count := &count{selection: newSelection(spec), placement: newPlacement(spec)}
	for _, node := range c.nodes {
		count.change(nil, node)
	}
	return count
}

func (c *Counter) picture(count *count) scaling.Cluster {
	return scaling.Cluster{
		Nodes: count.nodes, Registered: len(c.nodes), Schedulable: c.schedulable,
		Placeable: count.placeable, Zoned: count.zoned,
	}
}

// Keep goes on counting for the specs in use only. It holds off everyone else who asks for a picture until it knows
// them, so that none is forgotten that has only just come into use.
func (c *Counter) Keep(inUse func() ([]*v1alpha1.KSMScaleSpec, error)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	specs, err := inUse()
	if err != nil {
		return err
	}
	keys := sets.New[string]()
	for _, spec := range specs {
		keys.Insert(key(spec))
	}
	for key := range c.counts {
		if !keys.Has(key) {
			delete(c.counts, key)
		}
	}
	return nil
}

// OnChange has notify called after each change of a picture, from the goroutine of the watch: it must not block.
// Heartbeats change nothing.
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
	for _, notify := range c.update(node, deleted) {
		notify()
	}
}

// update returns whom to notify, which is done without the lock so that they may ask for the picture.
func (c *Counter) update(node *corev1.Node, deleted bool) []func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asOf = c.clock.Now()
	before, after := c.nodes[node.Name], node
	if deleted {
		after = nil
		delete(c.nodes, node.Name)
	} else {
		c.nodes[node.Name] = node
	}
	if alike(before, after) {
		return nil
	}
	changed := (before == nil) != (after == nil)
	changed = adjust(&c.schedulable, schedulable, before, after) || changed
	for _, count := range c.counts {
		changed = count.change(before, after) || changed
	}
	if !changed {
		return nil
	}
	return c.onChange
}

// change counts a node as it is instead of as it was; either is nil if it was not there. It tells whether that makes a
// difference.
func (c *count) change(before, after *corev1.Node) bool {
	changed := adjust(&c.nodes, c.counts, before, after)
	if c.placement != nil {
		changed = adjust(&c.placeable, c.allows, before, after) || changed
		changed = adjust(&c.zoned, c.allowsZoned, before, after) || changed
	}
	return changed
}

func adjust(number *int, counts func(*corev1.Node) bool, before, after *corev1.Node) bool {
	counted, count := before != nil && counts(before), after != nil && counts(after)
	switch {
	case count && !counted:
		*number++
	case counted && !count:
		*number--
	}
	return count != counted
}

func schedulable(node *corev1.Node) bool { return !node.Spec.Unschedulable }
