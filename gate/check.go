package gate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// concurrentLists bounds how many resources are listed side by side, and with that how many pages are held at once.
const concurrentLists = 4

var (
	// errNothingToList is why a gate stays shut whose kube-state-metrics can have nothing to expose.
	errNothingToList = errors.New("none of the resources to export may be listed: grant the service account of kube-state-metrics the right to list and watch them")
	// errSuspects is why a gate stays shut until it has listed again what seems to belong to other shards.
	errSuspects = errors.New("kube-state-metrics exposes objects that belonged to other shards when they were listed; they are listed again")
)

// incompleteError says how many objects are not exposed yet, by resource.
type incompleteError struct{ missing map[string]int }

func (e incompleteError) Error() string {
	return fmt.Sprintf("kube-state-metrics does not expose %s of its share yet", counted(e.missing))
}

// foreignError says how many objects of other shards are exposed, by resource.
type foreignError struct{ foreign map[string]int }

func (e foreignError) Error() string {
	return fmt.Sprintf("kube-state-metrics exposes %s of other shards: it divides objects among shards in another way than all versions "+
		"from v2.10.1 to v2.20.0; set spec.monitorImage to one of these", counted(e.foreign))
}

// counted is a number of objects, and how many of each resource.
func counted(objects map[string]int) string {
	var parts []string
	total := 0
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		total += objects[name]
		parts = append(parts, fmt.Sprintf("%s: %d", name, objects[name]))
	}
	noun := "objects"
	if total == 1 {
		noun = "object"
	}
	return fmt.Sprintf("%d %s (%s)", total, noun, strings.Join(parts, ", "))
}

// check follows one process of kube-state-metrics until it exposes what its share was at the check's start.
// Objects that are created later come through its watches.
type check struct {
	cluster *cluster
	monitor *monitor
	clock   clock.PassiveClock
	metrics *metrics

	listings []*listing
	// every has the resources of which every family has to be read.
	every sets.Set[string]
	// exposed is whether any object was seen.
	exposed bool
	// looked is how long the last look took.
	looked time.Duration
	// custom are the custom resources that are exported too; nil if none are.
	custom *custom
}

func newCheck(g *Gate, exported []resource) *check {
	c := &check{cluster: g.cluster, monitor: g.monitor, clock: g.clock, metrics: g.metrics, every: sets.New[string]()}
	for _, of := range exported {
		for _, namespace := range g.cluster.namespacesOf(of) {
			c.listings = append(c.listings, &listing{resource: of, namespace: namespace})
		}
	}
	return c
}

// round looks once more, and returns nil once everything has been seen exposed. changed is whether it brought anything new.
func (c *check) round(ctx context.Context) (changed bool, err error) {
	changed, err = c.objects(ctx)
	c.metrics.setObjects(c)
	if c.custom == nil {
		return changed, err
	}
	// They are looked at while objects are missing as well, to lose no time.
	return changed, errors.Join(err, c.custom.look(ctx))
}

// mayOpen tells whether the deadline opens the gate: if anything was seen exposed, and nothing that belongs to other shards, which
// Prometheus would store twice.
func (c *check) mayOpen() bool {
	return len(c.foreign()) == 0 && (c.exposed || c.custom != nil && c.custom.series > 0)
}

// objects lists what is due, looks at what is exposed, and returns nil once that is the whole share.
func (c *check) objects(ctx context.Context) (changed bool, err error) {
	c.list(ctx)
	before, began := c.missing(), c.clock.Now()
	err = c.look(ctx)
	c.looked = c.clock.Since(began)
	if err != nil {
		return false, err
	}
	return !maps.Equal(before, c.missing()), c.verdict()
}

// list lists what is due, and has each listing know how that went.
func (c *check) list(ctx context.Context) {
	var lists errgroup.Group
	lists.SetLimit(concurrentLists)
	now := c.clock.Now()
	for _, of := range c.listings {
		if !of.isDue(now, c.exposed) {
			continue
		}
		lists.Go(func() error {
			began := c.clock.Now()
			objects, err := c.cluster.list(ctx, of.resource, of.namespace)
			if err == nil {
				of.succeed(objects, began, c.clock.Now())
				return nil
			}
			of.fail(err, c.clock.Now())
			if !of.isUnlistable() && ctx.Err() == nil {
				klog.FromContext(ctx).Error(err, "Cannot list what kube-state-metrics has to expose", "resource", of.name, "namespace", of.namespace)
				c.metrics.listErrors.WithLabelValues(of.name).Inc()
			}
			return nil
		})
	}
	_ = lists.Wait() // Each listing has its error.
}

// look takes what is exposed off what is missing.
func (c *check) look(ctx context.Context) error {
	var wanted []resource
	seen := map[string][]func(object){}
	var end []func()
	for _, of := range c.listings {
		if !of.isWanted() {
			continue
		}
		if len(seen[of.name]) == 0 {
			wanted = append(wanted, of.resource)
		}
		each, ended := of.look()
		seen[of.name] = append(seen[of.name], each)
		end = append(end, ended)
	}
	if len(wanted) == 0 {
		return nil
	}
	unidentified, err := c.monitor.objects(ctx, wanted, c.every, func(of resource, one object) {
		c.exposed = true
		for _, each := range seen[of.name] {
			each(one)
		}
	})
	if err != nil {
		return err
	}
	for _, ended := range end {
		ended()
	}
	c.every = c.every.Union(unidentified)
	return nil
}

// verdict returns nil if everything that could be listed has been seen exposed. A list that fails counts, since nobody knows what
// it would have; one that is refused does not, because kube-state-metrics is refused it as well.
func (c *check) verdict() error {
	if foreign := c.foreign(); len(foreign) > 0 {
		return foreignError{foreign}
	}
	var errs []error
	var nothing, suspects = len(c.listings) > 0, false
	for _, of := range c.listings {
		nothing = nothing && !of.listed && of.isUnlistable()
		suspects = suspects || of.suspects.Len() > 0
		if of.err != nil && !of.isUnlistable() {
			errs = append(errs, of.err)
		}
	}
	if nothing {
		return errNothingToList
	}
	if suspects {
		errs = append(errs, errSuspects)
	}
	if missing := c.missing(); len(missing) > 0 {
		errs = append(errs, incompleteError{missing})
	}
	return errors.Join(errs...)
}

// missing is how many objects have not been seen exposed, by resource.
func (c *check) missing() map[string]int {
	return c.count(func(of *listing) int { return of.missing.Len() })
}

// foreign is how many objects of other shards are exposed, by resource.
func (c *check) foreign() map[string]int {
	return c.count(func(of *listing) int { return of.foreign.Len() })
}

func (c *check) count(objects func(*listing) int) map[string]int {
	counts := map[string]int{}
	for _, of := range c.listings {
		if count := objects(of); count > 0 && !of.isUnlistable() {
			counts[of.name] += count
		}
	}
	return counts
}
