package gate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

const (
	// pause is the least time between two looks, and pauseFactor how many times as long as a look the pause after
	// it is: loading comes first.
	pause       = time.Second
	pauseFactor = 2
	// maxPause is the longest pause, however long a look took.
	maxPause = 10 * time.Second
	// contactInterval is how often the API server is asked for an answer, contactTimeout how long it has to give
	// one, and contactPatience for how long none is borne. With the readiness probe's own patience, kube-state-metrics
	// is unready less than a minute after it has lost the API server, and stays ready while that restarts.
	contactInterval = 5 * time.Second
	contactTimeout  = 5 * time.Second
	contactPatience = 30 * time.Second
	// processTimeout is how long kube-state-metrics has for an answer. The readiness probe gives up at the same time.
	processTimeout = 4 * time.Second
	// lookTimeout is how long one look may take.
	lookTimeout = 5 * time.Minute
	// discoveryPause is how long kube-state-metrics must have seen no change of definitions of custom resources: it looks
	// every three seconds whether there was one, and then begins anew, with all resources.
	discoveryPause = 10 * time.Second
)

var (
	errNotLookedYet = errors.New("kube-state-metrics has just started")
	errDiscovering  = errors.New("kube-state-metrics has just learnt of custom resources, and begins anew for them")
)

// Gate is open while the kube-state-metrics beside it exposes its whole share.
type Gate struct {
	cluster *cluster
	monitor *monitor
	// exported are the resources that count for a version of kube-state-metrics.
	exported func(version string) []resource
	deadline time.Duration
	// discovers is whether kube-state-metrics exports custom resources too, and so looks for their definitions.
	discovers bool
	clock     clock.WithTicker
	metrics   *metrics

	mu sync.Mutex
	// complete is the process of kube-state-metrics that exposed its whole share, and incomplete why there is none.
	complete   process
	incomplete error
	// contacted is when the API server last answered.
	contacted time.Time
}

// Check returns nil if kube-state-metrics exposes its whole share, and else why it is not known to. It asks
// kube-state-metrics itself, because a new process must not be taken for the one before.
func (g *Gate) Check(ctx context.Context) error {
	process, err := g.monitor.process(ctx, processTimeout)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if process != g.complete {
		if g.incomplete == nil {
			return errNotLookedYet
		}
		return g.incomplete
	}
	if silent := g.clock.Since(g.contacted); silent > contactPatience {
		return fmt.Errorf("the API server has not answered for %s", silent.Round(time.Second))
	}
	return nil
}

// Run follows kube-state-metrics from start to start, until the context is done.
func (g *Gate) Run(ctx context.Context) {
	go g.keepContact(ctx)
	for ctx.Err() == nil {
		process, err := g.monitor.process(ctx, processTimeout)
		switch {
		case err != nil:
			g.setIncomplete(err)
		case process != g.completeProcess():
			g.await(ctx, process)
		}
		g.sleep(ctx, pause)
	}
}

// await looks at one process of kube-state-metrics again and again, until it exposes its share, is another one, or
// the deadline is over.
func (g *Gate) await(ctx context.Context, process process) {
	log := klog.FromContext(ctx)
	began := g.clock.Now()
	g.metrics.open.Set(0)
	g.setIncomplete(errNotLookedYet)
	exported := g.exported(process.version)
	log.Info("Waiting until kube-state-metrics exposes its share", "version", process.version, "resources", len(exported))
	check := g.begin(ctx, process, exported, began)
	for check != nil && ctx.Err() == nil {
		looked := g.clock.Now()
		err := g.look(ctx, check)
		waited := g.clock.Since(began)
		switch {
		case err == nil:
			log.Info("kube-state-metrics exposes its share", "seconds", waited.Seconds())
		case waited >= g.deadline && check.exposes():
			log.Info("Warning: opened by the deadline, though kube-state-metrics does not expose its share", "deadline", g.deadline, "reason", err.Error())
			g.metrics.openedByDeadline.Inc()
		default:
			g.setIncomplete(err)
			log.V(1).Info("Not yet", "reason", err.Error())
			g.sleep(ctx, min(max(pause, pauseFactor*g.clock.Since(looked)), maxPause))
			now, definitions, err := g.monitor.discoveries(ctx, processTimeout)
			switch {
			case err == nil && now != process:
				return
			case err == nil && check.custom != nil && definitions != check.custom.definitions && waited < g.deadline:
				check = g.begin(ctx, process, exported, began)
			}
			continue
		}
		g.setComplete(process)
		g.metrics.syncDuration.Set(waited.Seconds())
		return
	}
}

// begin returns a check of a process, which has waited since began; nil if there is another process instead.
func (g *Gate) begin(ctx context.Context, process process, exported []resource, began time.Time) *check {
	check := newCheck(g.cluster, g.monitor, exported)
	if !g.discovers {
		return check
	}
	definitions, same := g.settle(ctx, process, began)
	if !same {
		return nil
	}
	check.custom = &custom{monitor: g.monitor, clock: g.clock, definitions: definitions}
	return check
}

// settle waits until a process has found the definitions of custom resources that there are, or the deadline is over, and
// returns how many events of them it has seen. It returns false if there is another process instead.
func (g *Gate) settle(ctx context.Context, process process, began time.Time) (float64, bool) {
	g.setIncomplete(errDiscovering)
	seen, since := 0.0, g.clock.Now()
	for ctx.Err() == nil && g.clock.Since(since) < discoveryPause && g.clock.Since(began) < g.deadline {
		g.sleep(ctx, pause)
		now, count, err := g.monitor.discoveries(ctx, processTimeout)
		switch {
		case err == nil && now != process:
			return 0, false
		case err != nil:
			since = g.clock.Now()
		case count != seen:
			seen, since = count, g.clock.Now()
		}
	}
	return seen, ctx.Err() == nil
}

func (g *Gate) look(ctx context.Context, check *check) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	err := check.round(ctx)
	g.metrics.setMissing(check)
	return err
}

// keepContact asks the API server for an answer from time to time.
func (g *Gate) keepContact(ctx context.Context) {
	for ctx.Err() == nil {
		if err := g.cluster.contact(ctx, contactTimeout); err != nil {
			klog.FromContext(ctx).V(1).Info("No contact", "reason", err.Error())
		} else {
			g.mu.Lock()
			g.contacted = g.clock.Now()
			g.mu.Unlock()
		}
		g.sleep(ctx, contactInterval)
	}
}

func (g *Gate) completeProcess() process {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.complete
}

func (g *Gate) setComplete(process process) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.complete, g.incomplete = process, nil
	g.metrics.open.Set(1)
}

// setIncomplete says why kube-state-metrics is not known to expose its share. One that is complete stays so while
// it does not answer: only another process has to start from the beginning.
func (g *Gate) setIncomplete(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.incomplete = err
}

func (g *Gate) sleep(ctx context.Context, duration time.Duration) {
	timer := g.clock.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C():
	}
}
