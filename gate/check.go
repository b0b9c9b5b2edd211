package gate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/sets"
)

// errNothingToList is why a gate stays shut whose kube-state-metrics can have nothing to expose.
var errNothingToList = errors.New("none of the resources to export may be listed: grant the service account of kube-state-metrics the right to list and watch them")

// incompleteError says how many objects are not exposed yet.
type incompleteError struct{ missing map[string]int }

func (e incompleteError) Error() string {
	var parts []string
	total := 0
	for _, name := range slices.Sorted(maps.Keys(e.missing)) {
		total += e.missing[name]
		parts = append(parts, fmt.Sprintf("%d %s", e.missing[name], name))
	}
	return fmt.Sprintf("kube-state-metrics does not expose %d objects of its share yet: %s", total, strings.Join(parts, ", "))
}

// check follows one process of kube-state-metrics until it exposes what its share was at the check's start.
// Objects that are created later come through its watches.
type check struct {
	cluster *cluster
	monitor *monitor

	// unlisted are the resources that the API server has not listed yet.
	unlisted []resource
	// missing has the objects not seen exposed yet. A resource that has none left is done for good.
	missing map[string]sets.Set[object]
	// every has the resources of which every family has to be read.
	every sets.Set[string]
	// listed is whether the API server has listed anything, and exposed whether any object was seen.
	listed, exposed bool
	// custom are the custom resources that are exported too; nil if none are.
	custom *custom
}

func newCheck(cluster *cluster, monitor *monitor, exported []resource) *check {
	return &check{
		cluster: cluster, monitor: monitor, unlisted: slices.Clone(exported),
		missing: map[string]sets.Set[object]{}, every: sets.New[string](),
	}
}

// round looks once more, and returns nil once everything has been seen exposed.
func (c *check) round(ctx context.Context) error {
	err := c.objects(ctx)
	if c.custom == nil {
		return err
	}
	// They are looked at while objects are missing as well, to lose no time.
	return errors.Join(err, c.custom.look(ctx))
}

// exposes tells whether anything was seen exposed.
func (c *check) exposes() bool { return c.exposed || c.custom != nil && c.custom.series > 0 }

// objects returns nil once each has been seen exposed. A resource that may not be listed, or that the API server does not
// have, does not count: kube-state-metrics cannot list it either.
func (c *check) objects(ctx context.Context) error {
	unlistable, err := c.list(ctx)
	if err != nil {
		return err
	}
	if !c.listed && len(unlistable) > 0 {
		return errNothingToList
	}
	before := c.count()
	if before == 0 {
		return nil
	}
	if err := c.look(ctx); err != nil {
		return err
	}
	if c.count() == before {
		// What is still missing may have been deleted since, before kube-state-metrics could list it.
		if err := c.forgetDeleted(ctx); err != nil {
			return err
		}
	}
	if c.count() == 0 {
		return nil
	}
	return c.incomplete()
}

// list lists what has not been listed yet, and returns the resources that cannot be.
func (c *check) list(ctx context.Context) ([]resource, error) {
	var unlistable []resource
	var errs []error
	for _, of := range c.unlisted {
		objects, err := c.cluster.objects(ctx, of)
		switch {
		case apierrors.IsForbidden(err) || apierrors.IsNotFound(err):
			unlistable = append(unlistable, of)
		case err != nil:
			unlistable = append(unlistable, of)
			errs = append(errs, err)
		default:
			c.listed = true
			c.missing[of.name] = objects
		}
	}
	c.unlisted = unlistable
	return unlistable, errors.Join(errs...)
}

// look takes what is exposed off what is missing.
func (c *check) look(ctx context.Context) error {
	unidentified, err := c.monitor.objects(ctx, c.wanted(), c.every, func(of resource, seen object) {
		c.exposed = true
		c.missing[of.name].Delete(seen)
	})
	if err != nil {
		return err
	}
	c.every = c.every.Union(unidentified)
	return nil
}

func (c *check) forgetDeleted(ctx context.Context) error {
	for _, of := range c.wanted() {
		objects, err := c.cluster.objects(ctx, of)
		if err != nil {
			return err
		}
		c.missing[of.name] = c.missing[of.name].Intersection(objects)
	}
	return nil
}

// wanted are the resources with something missing.
func (c *check) wanted() []resource {
	var wanted []resource
	for name, objects := range c.missing {
		if objects.Len() > 0 {
			wanted = append(wanted, resources[name])
		}
	}
	slices.SortFunc(wanted, func(a, b resource) int { return cmp.Compare(a.name, b.name) })
	return wanted
}

func (c *check) count() int {
	count := 0
	for _, objects := range c.missing {
		count += objects.Len()
	}
	return count
}

func (c *check) incomplete() error {
	missing := make(map[string]int)
	for _, of := range c.wanted() {
		missing[of.name] = c.missing[of.name].Len()
	}
	return incompleteError{missing}
}
