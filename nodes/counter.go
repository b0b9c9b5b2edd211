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

// Counter counts the nodes of the cluster from a watch, for each KSMScale according to its spec.nodes. The first request
// for a spec visits every node. After that, the Counter visits only nodes that change. It is safe for concurrent use.
// Create it with NewCounter, and start it with Watch.
type Counter struct {
	clock clock.PassiveClock

	mu sync.RWMutex
	// nodes are the registered nodes by name, in the form of the watch.
	nodes       map[string]*corev1.Node
	schedulable int
	// counts are the requested counts, by the key of the spec.
	counts   map[string]*count
	asOf     time.Time
	watching func() bool
	onChange []func()
}

// count is the number of nodes in a selection. With a placement, it also has the number of nodes that the placement
// allows, and how many of these have a zone.
type count struct {
	selection
	*placement
	nodes, placeable, zoned int
}

var _ toolscache.ResourceEventHandler = (*Counter)(nil)

// NewCounter returns a Counter without nodes.
func NewCounter(clock clock.PassiveClock) *Counter {
	return &Counter{
		clock: clock, nodes: map[string]*corev1.Node{}, counts: map[string]*count{}, watching: func() bool { return false },
	}
}

// Watch starts to count the nodes of a cache, which may start before or after.
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

// Synced reports whether every node that existed at the start of the watch has been counted. Before that, Cluster has too
// few.
func (c *Counter) Synced() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.watching()
}

// AsOf is the time of the picture: the last event about any node, including heartbeats. If the watch stops without an
// error, AsOf shows that the picture is old.
func (c *Counter) AsOf() time.Time {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.asOf
}

// Cluster returns the picture for a KSMScale, and its time.
func (c *Counter) Cluster(spec *v1alpha1.KSMScaleSpec) (scaling.Cluster, time.Time) {
	countKey := key(spec)
	if cluster, asOf, ok := c.known(countKey); ok {
		return cluster, asOf
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts[countKey] == nil {
		c.counts[countKey] = c.countAll(spec)
	}
	return c.picture(c.counts[countKey]), c.asOf
}

func (c *Counter) known(countKey string) (scaling.Cluster, time.Time, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	known, ok := c.counts[countKey]
	if !ok {
		return scaling.Cluster{}, time.Time{}, false
	}
	return c.picture(known), c.asOf, true
}

func (c *Counter) countAll(spec *v1alpha1.KSMScaleSpec) *count {
	total := &count{selection: newSelection(spec), placement: newPlacement(spec)}
	for _, node := range c.nodes {
		total.change(nil, node)
	}
	return total
}

func (c *Counter) picture(total *count) scaling.Cluster {
	return scaling.Cluster{
		Nodes: total.nodes, Registered: len(c.nodes), Schedulable: c.schedulable,
		Placeable: total.placeable, Zoned: total.zoned,
	}
}

// Keep stops all counts except those for the specs in use. Other callers wait until it knows these, so it never stops a
// count that has just come into use.
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
	for countKey := range c.counts {
		if !keys.Has(countKey) {
			delete(c.counts, countKey)
		}
	}
	return nil
}

// OnChange registers a function that is called after each change of a picture, from the goroutine of the watch. It must
// not block. Heartbeats are no changes.
func (c *Counter) OnChange(notify func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onChange = append(c.onChange, notify)
}

// OnAdd counts a node. It is part of toolscache.ResourceEventHandler.
func (c *Counter) OnAdd(obj any, _ bool) { c.observe(obj, false) }

// OnUpdate counts a changed node. It is part of toolscache.ResourceEventHandler.
func (c *Counter) OnUpdate(_, obj any) { c.observe(obj, false) }

// OnDelete removes a node from the counts. It is part of toolscache.ResourceEventHandler.
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

// update returns the functions to call. The caller calls them without the lock, because they may request the picture.
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
	for _, known := range c.counts {
		changed = known.change(before, after) || changed
	}
	if !changed {
		return nil
	}
	return c.onChange
}

// change replaces a node in the counts. before or after is nil if the node did not exist then. It reports whether a count
// has changed.
func (c *count) change(before, after *corev1.Node) bool {
	changed := adjust(&c.nodes, c.counts, before, after)
	if c.placement != nil {
		changed = adjust(&c.placeable, c.allows, before, after) || changed
		changed = adjust(&c.zoned, c.allowsZoned, before, after) || changed
	}
	return changed
}

func adjust(number *int, counts func(*corev1.Node) bool, before, after *corev1.Node) bool {
	wasCounted, isCounted := before != nil && counts(before), after != nil && counts(after)
	switch {
	case isCounted && !wasCounted:
		*number++
	case wasCounted && !isCounted:
		*number--
	}
	return isCounted != wasCounted
}

func schedulable(node *corev1.Node) bool { return !node.Spec.Unschedulable }
