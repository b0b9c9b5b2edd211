package nodes

import (
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/clock"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/scaling"
)

// Counter counts the nodes of the cluster from a watch, for each KSMScale according to its spec.nodes. It keeps what
// selections can depend on, and the values of only those labels that some KSMScale names. Nodes that are alike share their
// memory. The first request for a spec visits every kind of node. After that, the Counter visits only nodes that change. It
// is safe for concurrent use. Create it with NewCounter, and start it with Run.
type Counter struct {
	clock clock.PassiveClock

	mu sync.RWMutex
	// listing is the current source of nodes; nil before the first list.
	listing *Listing
	// listings is the number of the last Listing.
	listings int
	// nodes are the registered nodes by name. kinds and rooms have their distinct traits and rooms.
	nodes map[string]record
	kinds sharing[string]
	rooms sharing[room]
	// total are the numbers of registered nodes, and of those that are not cordoned.
	total total
	// counts are the requested counts, by the key of the spec.
	counts map[string]*count
	// named are the keys of labels that the specs in use name. It may have keys that the current listing does not keep.
	named sets.Set[string]
	// more has an event when named has a new key.
	more     chan struct{}
	asOf     time.Time
	onChange []func()
	// version is the number of changes of pictures and of rooms.
	version uint64
}

// record is what a Counter keeps of a node. Equal nodes have the same pointers.
type record struct {
	kind *shared[string]
	room *shared[room]
}

// total counts all nodes, and those that are not cordoned.
type total struct{ registered, schedulable int }

// count is the number of nodes in a selection.
type count struct {
	selection
	*placement
	keys sets.Set[string]
	tally
}

// tally has the number of nodes in a selection. With a placement, it also has the number of nodes that the placement
// allows, and how many of these have a zone.
type tally struct{ nodes, placeable, zoned int }

// NewCounter returns a Counter without nodes.
func NewCounter(clock clock.PassiveClock) *Counter {
	return &Counter{
		clock: clock, nodes: map[string]record{}, kinds: sharing[string]{}, rooms: sharing[room]{},
		counts: map[string]*count{}, named: usualLabels(), more: make(chan struct{}, 1),
	}
}

// Synced reports whether every node that existed at the start of the watch has been counted.
func (c *Counter) Synced() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.listing != nil
}

// AsOf is the time of the picture: the last event about any node, including heartbeats. If the watch stops without an
// error, AsOf shows that the picture is old.
func (c *Counter) AsOf() time.Time {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.asOf
}

// Version changes with each change of a picture, or of the CPU and memory of a node. Heartbeats do not change it.
func (c *Counter) Version() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.version
}

// Cluster returns the picture for a KSMScale, and its time. The result is false while the nodes are listed for the first
// time, or again because the spec names a label that no other spec has named. Functions registered by OnChange are called
// when the picture is there.
func (c *Counter) Cluster(spec *v1alpha1.KSMScaleSpec) (scaling.Cluster, time.Time, bool) {
	countKey := key(spec)
	if cluster, asOf, ok := c.known(countKey); ok {
		return cluster, asOf, true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts[countKey] == nil {
		created := newCount(spec)
		c.name(created.keys)
		if c.listing == nil || !c.listing.labels.IsSuperset(created.keys) {
			return scaling.Cluster{}, time.Time{}, false
		}
		c.recount(created)
		c.counts[countKey] = created
	}
	return c.picture(c.counts[countKey]), c.asOf, true
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

// name announces labels that no listing keeps yet.
func (c *Counter) name(labels sets.Set[string]) {
	if c.named.IsSuperset(labels) {
		return
	}
	// A listing reads the set without the lock, so it is never changed.
	c.named = c.named.Union(labels)
	select {
	case c.more <- struct{}{}:
	default: // The waiting event stands for this change too.
	}
}

func (c *Counter) picture(known *count) scaling.Cluster {
	return scaling.Cluster{
		Nodes: known.nodes, Registered: c.total.registered, Schedulable: c.total.schedulable,
		Placeable: known.placeable, Zoned: known.zoned,
	}
}

// Kinds are the kinds of nodes in the cluster by their room for pods, in no order.
func (c *Counter) Kinds() []scaling.NodeKind {
	c.mu.RLock()
	defer c.mu.RUnlock()
	kinds := make([]scaling.NodeKind, 0, len(c.rooms))
	for kind, all := range c.rooms {
		if kind != (room{}) {
			kinds = append(kinds, scaling.NodeKind{CPU: kind.cpu, Memory: kind.memory, OS: kind.os, Nodes: all.nodes})
		}
	}
	return kinds
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
	keys, named := sets.New[string](), usualLabels()
	for _, spec := range specs {
		keys.Insert(key(spec))
		named = named.Union(newCount(spec).keys)
	}
	for countKey := range c.counts {
		if !keys.Has(countKey) {
			delete(c.counts, countKey)
		}
	}
	// The next listing drops the labels that are no longer named.
	c.named = c.named.Intersection(named)
	return nil
}

// OnChange registers a function that is called after each change of a picture, or of the CPU and memory of a node, from the
// goroutine of the watch. It must not block. Heartbeats are no changes.
func (c *Counter) OnChange(notify func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onChange = append(c.onChange, notify)
}

// replace makes a listing the current one, with all nodes of the cluster. It returns the functions to call. The caller
// calls them without the lock, because they may request the picture.
func (c *Counter) replace(listing *Listing, all []observed) []func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listing != nil && listing.number < c.listing.number {
		return nil // Its reflector lists again before it is stopped.
	}
	c.asOf = c.clock.Now()
	before, roomsBefore := c.total, c.rooms
	// A picture that a new label made possible is a change.
	changed := c.listing == nil || !c.listing.labels.IsSuperset(listing.labels)
	c.listing = listing
	c.nodes, c.kinds, c.rooms = make(map[string]record, len(all)), sharing[string]{}, sharing[room]{}
	for _, node := range all {
		c.nodes[node.name] = record{c.kinds.take(node.traits), c.rooms.take(node.room)}
	}
	c.total = total{}
	for traits, kind := range c.kinds {
		c.total.add(decoded(traits), kind.nodes)
	}
	for countKey, known := range c.counts {
		if !listing.labels.IsSuperset(known.keys) {
			delete(c.counts, countKey) // The next request for it announces its labels.
			changed = true
			continue
		}
		was := known.tally
		c.recount(known)
		changed = changed || known.tally != was
	}
	sameNumber := func(a, b *shared[room]) bool { return a.nodes == b.nodes }
	if !changed && c.total == before && maps.EqualFunc(c.rooms, roomsBefore, sameNumber) {
		return nil
	}
	c.version++
	return c.onChange
}

func (c *Counter) recount(known *count) {
	known.tally = tally{}
	for traits, kind := range c.kinds {
		known.add(decoded(traits), kind.nodes)
	}
}

// update replaces a node, or removes it. It returns the functions to call, like replace.
func (c *Counter) update(listing *Listing, node observed, deleted bool) []func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listing != listing {
		return nil // A later listing has this event too.
	}
	c.asOf = c.clock.Now()
	before, existed := c.nodes[node.name]
	if deleted {
		if !existed {
			return nil
		}
		delete(c.nodes, node.name)
		c.release(before)
		return c.changed(before.kind.key, "")
	}
	if existed && before.kind.key == node.traits && before.room.key == node.room {
		return nil // A heartbeat.
	}
	c.nodes[node.name] = record{c.kinds.take(node.traits), c.rooms.take(node.room)}
	if !existed {
		return c.changed("", node.traits)
	}
	c.release(before)
	toCall := c.changed(before.kind.key, node.traits)
	if toCall == nil && before.room.key != node.room {
		c.version++
		return c.onChange
	}
	return toCall
}

func (c *Counter) release(of record) {
	c.kinds.release(of.kind)
	c.rooms.release(of.room)
}

// changed replaces the traits of one node in all counts. Empty traits are no node. It returns the functions to call.
func (c *Counter) changed(before, after string) []func() {
	if before == after {
		return nil
	}
	was := c.total
	changed := false
	var left, came *corev1.Node
	if before != "" {
		left = decoded(before)
		c.total.add(left, -1)
	}
	if after != "" {
		came = decoded(after)
		c.total.add(came, 1)
	}
	for _, known := range c.counts {
		counted := known.tally
		known.add(left, -1)
		known.add(came, 1)
		changed = changed || known.tally != counted
	}
	if !changed && c.total == was {
		return nil
	}
	c.version++
	return c.onChange
}

func (t *total) add(node *corev1.Node, number int) {
	t.registered += number
	if !node.Spec.Unschedulable {
		t.schedulable += number
	}
}

func newCount(spec *v1alpha1.KSMScaleSpec) *count {
	created := &count{selection: newSelection(spec), placement: newPlacement(spec)}
	created.keys = created.selection.labelKeys().Union(created.placement.labelKeys())
	return created
}

// add changes the numbers for nodes that are alike; nil is no node.
func (c *count) add(node *corev1.Node, number int) {
	if node == nil {
		return
	}
	if c.counts(node) {
		c.nodes += number
	}
	if c.placement == nil || !c.allows(node) {
		return
	}
	c.placeable += number
	if node.Labels[corev1.LabelTopologyZone] != "" {
		c.zoned += number
	}
}
