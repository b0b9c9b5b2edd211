package gate

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/klog/v2"

	"github.com/example/ksmscale/gate/apiserver"
	"github.com/example/ksmscale/gate/exposition"
	"github.com/example/ksmscale/gate/ksm"
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
			g.metrics.counted.Set(measurements.Counts{})
			g.sleepUntilOpened(ctx, followInterval)
			continue
		}
		if running != counted.of {
			counted = rounds{of: running, identified: sets.New[string](), refused: sets.New[string]()}
		}
		kinds, uncounted := g.countable(running)
		interval := g.counting.round(2 * g.cluster.Requests(kinds))
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
	of ksm.Process
	// identified are the resources of which the process has exposed a family with a series for each object. refused are the
	// resources that the API server did not let the gate count in the last round.
	identified, refused sets.Set[string]
}

// uncounted is why a count of a resource alone cannot be compared; empty if it can.
func (r rounds) uncounted(resource string, count measurements.Count) string {
	switch {
	case r.refused.Has(resource):
		return measurements.UncountedForbidden
	case r.identified.Has(resource) || max(count.Before, count.After) == 0:
		return ""
	case count.Exposed > 0:
		return measurements.UncountedUnidentified
	default:
		return measurements.UncountedUnexposed
	}
}

// countable are the resources to count, and the reason for each resource that is not counted.
func (g *Gate) countable(running ksm.Process) (kinds []exposition.Resource, uncounted map[string]string) {
	uncounted = map[string]string{}
	for _, kind := range g.exported(running.Version) {
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
		g.metrics.counted.Failures.Inc()
		klog.FromContext(ctx).Info("Warning: cannot count objects", "reason", err.Error())
		return
	}
	g.metrics.counted.Set(round)
}

// countRound fills in a round. A resource that cannot be counted once is not in it.
func (g *Gate) countRound(ctx context.Context, kinds []exposition.Resource, counted rounds, round *measurements.Counts) error {
	pause := min(countPause, g.counting.interval/10)
	before := g.countCluster(ctx, kinds, counted)
	g.sleep(ctx, pause)
	exposed, err := g.monitor.Tally(ctx, kinds, g.cluster.Shard)
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
		count := measurements.Count{Before: first, After: last, Exposed: exposed.Objects[kind.Name], Foreign: exposed.Foreign[kind.Name]}
		reason := counted.uncounted(kind.Name, count)
		if reason != "" {
			round.Uncounted[kind.Name] = reason
		}
		if isCounted && isCountedAgain && (reason == "" || reason == measurements.UncountedUnexposed) {
			round.Resources[kind.Name] = count
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
			count, err := g.cluster.Count(ctx, kind, g.counting.limiter)
			mu.Lock()
			defer mu.Unlock()
			counted.refused.Delete(kind.Name)
			switch {
			case err == nil:
				counts[kind.Name] = count
			case apiserver.IsRefused(err):
				counted.refused.Insert(kind.Name)
			case ctx.Err() == nil:
				klog.FromContext(ctx).Info("Warning: cannot count a resource", "reason", err.Error())
				g.metrics.counted.Failures.Inc()
			}
			return nil
		})
	}
	_ = group.Wait() // Each error is handled above.
	return counts
}
