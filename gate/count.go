package gate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/klog/v2"

	"github.com/example/ksmscale/gate/exposition"
	"github.com/example/ksmscale/measurements"
)

const (
	// countBurst is how many requests a gate may send at once to count objects, and countRate how many further requests it
	// may send each second. Without --namespaces, a round needs fewer requests than the burst.
	countBurst, countRate = 100, 10
	// countPause is the time from a count of the cluster's objects to the reading of the metrics, and from there to the next
	// count. kube-state-metrics is about that late. The difference of both counts shows how much the cluster changes in
	// this time. A short interval shortens the pause to a tenth of the interval.
	countPause = time.Second
)

// counting is how an open gate counts objects.
type counting struct {
	// interval is the shortest time between two rounds; 0 to count nothing.
	interval time.Duration
	// identified are the resources that have a family with a series for each object.
	identified sets.Set[string]
	// unidentified is why the other resources are not counted.
	unidentified string
	limiter      flowcontrol.RateLimiter
}

func newCounting(options *Options) counting {
	c := counting{
		interval: options.CountInterval, unidentified: measurements.UncountedUnidentified,
		limiter: flowcontrol.NewTokenBucketRateLimiter(countRate, countBurst),
	}
	if options.ObjectLimit > 0 {
		c.unidentified = measurements.UncountedLimited
		return c
	}
	// Without readable lists of metrics, no resource is counted. The gate warns about them at its start.
	c.identified, _ = options.lists().Identified(options.resources())
	return c
}

// round is the time between two rounds that need a number of requests. It is a multiple of the interval, and at least half
// of it is left after the requests. All gates of a partition send about as many requests, so they have the same rounds.
func (c counting) round(requests int) time.Duration {
	needed := time.Duration(max(requests-countBurst, 0)) * time.Second / countRate
	return c.interval * (1 + 2*needed/c.interval)
}

// countRepeatedly counts objects in rounds while the gate is open, until the context is done. All gates with the same
// interval begin their rounds at the same time. A failed round does not close the gate.
func (g *Gate) countRepeatedly(ctx context.Context) {
	if g.counting.interval <= 0 {
		return
	}
	counted := rounds{}
	for ctx.Err() == nil {
		running, err := g.running(ctx)
		if err != nil || !g.isComplete(running) {
			g.metrics.counted.set(measurements.Counts{})
			g.sleepUntilOpened(ctx, followInterval)
			continue
		}
		if running != counted.of {
			counted = rounds{of: running, identified: sets.New[string](), refused: sets.New[string]()}
		}
		kinds, uncounted := g.countable(running)
		interval := g.counting.round(2 * g.cluster.requests(kinds))
		now := g.clock.Now()
		at := now.Truncate(interval).Add(interval)
		g.sleep(ctx, at.Sub(now))
		if ctx.Err() == nil {
			g.countOnce(ctx, kinds, counted, measurements.Counts{RoundAt: at, Interval: interval, Uncounted: uncounted})
		}
	}
}

// rounds is what a gate knows from earlier rounds about a process of kube-state-metrics.
type rounds struct {
	of process
	// identified are the resources of which the process has exposed a family with a series for each object. refused are the
	// resources that the API server did not let the gate count in the last round.
	identified, refused sets.Set[string]
}

// countable are the resources to count, and the reason for each resource that is not counted.
func (g *Gate) countable(running process) (kinds []exposition.Resource, uncounted map[string]string) {
	uncounted = map[string]string{}
	for _, kind := range g.exported(running.version) {
		if g.counting.identified.Has(kind.Name) {
			kinds = append(kinds, kind)
		} else {
			uncounted[kind.Name] = g.counting.unidentified
		}
	}
	return kinds, uncounted
}

// countOnce counts the objects of one round, and counts a failure.
func (g *Gate) countOnce(ctx context.Context, kinds []exposition.Resource, counted rounds, round measurements.Counts) {
	ctx, cancel := context.WithTimeout(ctx, round.Interval)
	defer cancel()
	err := g.countRound(ctx, kinds, counted, &round)
	if err == nil {
		err = g.stillRuns(ctx, counted.of)
	}
	if err != nil {
		g.metrics.counted.failures.Inc()
		klog.FromContext(ctx).Info("Warning: cannot count objects", "reason", err.Error())
		return
	}
	g.metrics.counted.set(round)
}

// countRound fills in a round. A resource that cannot be counted once is not in it.
func (g *Gate) countRound(ctx context.Context, kinds []exposition.Resource, counted rounds, round *measurements.Counts) error {
	pause := min(countPause, g.counting.interval/10)
	before := g.countCluster(ctx, kinds, counted)
	g.sleep(ctx, pause)
	exposed, err := g.monitor.tally(ctx, kinds, g.cluster.shard)
	if err != nil {
		return err
	}
	g.sleep(ctx, pause)
	after := g.countCluster(ctx, kinds, counted)
	counted.identified.Insert(exposed.Identified.UnsortedList()...)
	round.Resources = map[string]measurements.Count{}
	for _, kind := range kinds {
		first, isCounted := before[kind.Name]
		last, isCountedAgain := after[kind.Name]
		switch {
		case counted.refused.Has(kind.Name):
			round.Uncounted[kind.Name] = measurements.UncountedForbidden
		case !counted.identified.Has(kind.Name) && max(first, last) > 0:
			// This version does not have the family, or no object of the resource is exposed yet.
			round.Uncounted[kind.Name] = measurements.UncountedUnidentified
		case isCounted && isCountedAgain:
			round.Resources[kind.Name] = measurements.Count{
				Before: first, After: last, Exposed: exposed.Objects[kind.Name], Foreign: exposed.Foreign[kind.Name],
			}
		}
	}
	return ctx.Err()
}

// countCluster counts the objects of the cluster, of several resources at the same time. A resource whose count fails is
// not in the result.
func (g *Gate) countCluster(ctx context.Context, kinds []exposition.Resource, counted rounds) map[string]int64 {
	var mu sync.Mutex
	counts := make(map[string]int64, len(kinds))
	var group errgroup.Group
	group.SetLimit(concurrentLists)
	for _, kind := range kinds {
		group.Go(func() error {
			count, err := g.cluster.count(ctx, kind, g.counting.limiter)
			mu.Lock()
			defer mu.Unlock()
			counted.refused.Delete(kind.Name)
			switch {
			case err == nil:
				counts[kind.Name] = count
			case isRefused(err):
				counted.refused.Insert(kind.Name)
			case ctx.Err() == nil:
				klog.FromContext(ctx).Info("Warning: cannot count a resource", "reason", err.Error())
				g.metrics.counted.failures.Inc()
			}
			return nil
		})
	}
	_ = group.Wait() // Each error is handled above.
	return counts
}

// requests is how many requests count the resources once.
func (c *cluster) requests(kinds []exposition.Resource) int {
	requests := 0
	for _, kind := range kinds {
		requests += len(c.namespacesOf(kind)) + len(c.deniedOf(kind))
	}
	return requests
}

// count counts the objects of a resource in the cluster, without those that kube-state-metrics leaves out. It returns an
// error if one request fails. A namespace whose list is refused does not count, unless all are.
func (c *cluster) count(ctx context.Context, kind exposition.Resource, limiter flowcontrol.RateLimiter) (int64, error) {
	total, refused := int64(0), error(nil)
	namespaces := c.namespacesOf(kind)
	listed := len(namespaces)
	for _, namespace := range namespaces {
		count, err := c.countIn(ctx, kind, namespace, limiter)
		if isRefused(err) {
			refused, listed = err, listed-1
			continue
		}
		if err != nil {
			return 0, err
		}
		total += count
	}
	if listed == 0 {
		return 0, refused
	}
	// A field selector would hide how many objects remain, so denied namespaces are subtracted.
	for _, namespace := range c.deniedOf(kind) {
		count, err := c.countIn(ctx, kind, namespace, limiter)
		if err != nil {
			return 0, err
		}
		total -= count
	}
	return total, nil
}

// countIn counts the objects of a resource in a namespace, or in all. The answer has one object, and the number of the
// others. It is exact because the request has no resource version.
func (c *cluster) countIn(ctx context.Context, kind exposition.Resource, namespace string, limiter flowcontrol.RateLimiter) (int64, error) {
	if err := limiter.Wait(ctx); err != nil {
		return 0, fmt.Errorf("count %s: %w", kind.In(namespace), err)
	}
	list, err := c.metadata.Resource(kind.GroupVersionResource).Namespace(namespace).List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return 0, fmt.Errorf("count %s: %w", kind.In(namespace), err)
	}
	count := int64(len(list.Items))
	switch {
	case list.RemainingItemCount != nil:
		return count + *list.RemainingItemCount, nil
	case list.Continue != "":
		return 0, fmt.Errorf("count %s: %w", kind.In(namespace), errNoRemainingItemCount)
	default:
		return count, nil
	}
}

var errNoRemainingItemCount = errors.New("the API server does not report how many objects remain")

// isRefused reports whether the API server refuses a list to the service account, or does not have the resource.
// kube-state-metrics cannot list it either.
func isRefused(err error) bool { return apierrors.IsForbidden(err) || apierrors.IsNotFound(err) }

// deniedOf are the namespaces whose objects to subtract from all objects of a resource.
func (c *cluster) deniedOf(kind exposition.Resource) []string {
	if !kind.Namespaced || len(c.namespaces) > 0 {
		return nil
	}
	return sets.List(sets.New(c.notNamespaces...))
}

// tally counts the exposed objects of resources, and how many of them belong to other shards.
func (m *monitor) tally(ctx context.Context, kinds []exposition.Resource, shard Shard) (*exposition.Tally, error) {
	// Compression would cost kube-state-metrics more than the transfer.
	response, err := m.do(ctx, m.metrics+"?"+resourcesQuery(kinds), "identity")
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	counts := &exposition.Tally{Has: func(uid string) bool { return shard.Has(types.UID(uid)) }}
	return counts, counts.Read(response.Body)
}
