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

	"github.com/example/ksmscale/gate/apiserver"
	"github.com/example/ksmscale/gate/exposition"
	"github.com/example/ksmscale/gate/ksm"
)

// concurrentLists limits how many resources are listed at the same time, and so how many pages are in memory.
const concurrentLists = 4

var (
	// errNothingToList is the error of a gate whose kube-state-metrics may not list any resource.
	errNothingToList = errors.New("kube-state-metrics may not list any of the resources to export: grant the service account of kube-state-metrics the right to list and watch them")
	// errSuspects is the error of a gate that lists a resource again, because exposed objects seem to belong to other
	// shards.
	errSuspects = errors.New("kube-state-metrics exposes objects that belonged to other shards in the last list; the gate lists them again")
)

// unlistedError has the resources that the API server does not list. Anyone who can connect to the gate reads this text. So it leaves out the
// errors, which can contain names of namespaces and the address of the API server.
type unlistedError struct{ resources sets.Set[string] }

func (e unlistedError) Error() string {
	return fmt.Sprintf("the gate cannot list %s: see its log for the reason", strings.Join(sets.List(e.resources), ", "))
}

// incompleteError has the number of missing objects, by resource.
type incompleteError struct{ missing map[string]int }

func (e incompleteError) Error() string {
	return fmt.Sprintf("kube-state-metrics does not expose %s of its shard yet", counted(e.missing))
}

// foreignError has the number of exposed objects of other shards, by resource.
type foreignError struct{ foreign map[string]int }

func (e foreignError) Error() string {
	return fmt.Sprintf("kube-state-metrics exposes %s of other shards, because it divides objects among shards differently from "+
		"versions v2.10.1 to v2.20.0: set spec.monitorImage to one of these", counted(e.foreign))
}

// counted is the total number of objects, and the number for each resource.
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

// check follows one process of kube-state-metrics until it exposes all objects that its shard had at the check's start.
// Objects that are created later reach kube-state-metrics through its watches.
type check struct {
	cluster *apiserver.Objects
	monitor *ksm.Client
	clock   clock.PassiveClock
	metrics *metrics

	listings []*listing
	// every has the resources of which the gate must read every family.
	every sets.Set[string]
	// exposed is whether the gate has seen any object.
	exposed bool
	// looked is the duration of the last look.
	looked time.Duration
	// custom follows the exported custom resources; nil without custom resources.
	custom *custom
}

func newCheck(g *Gate, exported []exposition.Resource) *check {
	c := &check{cluster: g.cluster, monitor: g.monitor, clock: g.clock, metrics: g.metrics, every: sets.New[string]()}
	for _, kind := range exported {
		for _, namespace := range g.cluster.NamespacesOf(kind) {
			c.listings = append(c.listings, &listing{Resource: kind, namespace: namespace})
		}
	}
	return c
}

// round looks once more, and returns nil if it has seen all objects. changed is whether the look found new objects.
func (c *check) round(ctx context.Context) (changed bool, err error) {
	changed, err = c.objects(ctx)
	c.metrics.setObjects(c)
	if c.custom == nil {
		return changed, err
	}
	// The gate looks at custom resources while objects are missing too, to lose no time.
	return changed, errors.Join(err, c.custom.look(ctx))
}

// mayOpen reports whether the deadline opens the gate. It does if the gate has seen any object, and no object of another
// shard, which Prometheus would store twice.
func (c *check) mayOpen() bool {
	return len(c.foreign()) == 0 && (c.exposed || c.custom != nil && c.custom.series > 0)
}

// objects lists the resources that are due, looks at the metrics, and returns nil once all objects of the shard are
// exposed.
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

// list lists the resources that are due, and records the result in each listing.
func (c *check) list(ctx context.Context) {
	var group errgroup.Group
	group.SetLimit(concurrentLists)
	now := c.clock.Now()
	for _, list := range c.listings {
		if !list.isDue(now, c.exposed) {
			continue
		}
		group.Go(func() error {
			began := c.clock.Now()
			objects, err := c.cluster.List(ctx, list.Resource, list.namespace)
			if err == nil {
				list.succeed(objects, began, c.clock.Now())
				return nil
			}
			list.fail(err, c.clock.Now())
			if !list.isUnlistable() && !errors.Is(ctx.Err(), context.Canceled) {
				klog.FromContext(ctx).Error(err, "Cannot list a resource that kube-state-metrics exports", "resource", list.Name, "namespace", list.namespace)
				c.metrics.listErrors.WithLabelValues(list.Name).Inc()
			}
			return nil
		})
	}
	_ = group.Wait() // Each listing has its error.
}

// look removes the exposed objects from the missing objects.
func (c *check) look(ctx context.Context) error {
	var requested []exposition.Resource
	seen := map[string][]func(exposition.Object){}
	var end []func()
	for _, list := range c.listings {
		if !list.needsLook() {
			continue
		}
		if len(seen[list.Name]) == 0 {
			requested = append(requested, list.Resource)
		}
		each, ended := list.look()
		seen[list.Name] = append(seen[list.Name], each)
		end = append(end, ended)
	}
	if len(requested) == 0 {
		return nil
	}
	unidentified, err := c.monitor.Objects(ctx, requested, c.every, func(kind exposition.Resource, one exposition.Object) {
		c.exposed = true
		for _, each := range seen[kind.Name] {
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

// verdict returns nil if the gate has seen all objects of all lists that succeeded. Other failures keep the gate closed,
// because the objects of a failed list are unknown. A refused list does not count, because the API server refuses it to
// kube-state-metrics too.
func (c *check) verdict() error {
	if foreign := c.foreign(); len(foreign) > 0 {
		return foreignError{foreign}
	}
	var errs []error
	unlisted := sets.New[string]()
	var nothing, suspects = len(c.listings) > 0, false
	for _, list := range c.listings {
		nothing = nothing && !list.listed && list.isUnlistable()
		suspects = suspects || list.suspects.Len() > 0
		if list.err != nil && !list.isUnlistable() {
			unlisted.Insert(list.Name)
		}
	}
	if nothing {
		return errNothingToList
	}
	if unlisted.Len() > 0 {
		errs = append(errs, unlistedError{unlisted})
	}
	if suspects {
		errs = append(errs, errSuspects)
	}
	if missing := c.missing(); len(missing) > 0 {
		errs = append(errs, incompleteError{missing})
	}
	return errors.Join(errs...)
}

// missing is how many objects the gate has not seen yet, by resource.
func (c *check) missing() map[string]int {
	return c.count(func(list *listing) int { return list.missing.Len() })
}

// foreign is how many objects of other shards are exposed, by resource.
func (c *check) foreign() map[string]int {
	return c.count(func(list *listing) int { return list.foreign.Len() })
}

func (c *check) count(objects func(*listing) int) map[string]int {
	counts := map[string]int{}
	for _, list := range c.listings {
		if count := objects(list); count > 0 && !list.isUnlistable() {
			counts[list.Name] += count
		}
	}
	return counts
}
