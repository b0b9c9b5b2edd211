package gate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/example/ksmscale/gate/apiserver"
	"github.com/example/ksmscale/gate/exposition"
	"github.com/example/ksmscale/gate/ksm"
	"github.com/example/ksmscale/telemetry"
)

const (
	// minPause is the least time between two looks while they find new objects. After a look, the gate pauses pauseFactor
	// times as long as the look, because loading has priority.
	minPause    = 200 * time.Millisecond
	pauseFactor = 2
	// maxPause is the longest pause between two looks. While looks find no new objects, the pause doubles up to it.
	maxPause = 10 * time.Second
	// discoverInterval is the time between two requests for the number of custom resource definitions that
	// kube-state-metrics has found.
	discoverInterval = time.Second
	// followInterval is the time between two checks that the complete process still runs. A readiness probe that finds
	// another process starts a check sooner.
	followInterval = 5 * time.Second
	// contactInterval is the time between two requests to the API server, and contactTimeout the time for an answer. After
	// contactPatience without an answer the gate closes. With the failure threshold of the readiness probe,
	// kube-state-metrics is unready less than a minute after it has lost the API server. It stays ready while an API
	// server restarts.
	contactInterval = 5 * time.Second
	contactTimeout  = 5 * time.Second
	contactPatience = 30 * time.Second
	// processTimeout is the time in which kube-state-metrics must answer a request for its own metrics. A readiness probe
	// that ends sooner leaves the answer to the next probe.
	processTimeout = 4 * time.Second
	// roundTimeout limits one round, which is lists and a look.
	roundTimeout = 5 * time.Minute
	// discoveryPause is how long kube-state-metrics must have seen no change of custom resource definitions. It checks
	// them every three seconds, and reloads all resources after a change.
	discoveryPause = 10 * time.Second
)

var (
	errNotLookedYet = errors.New("the gate has not compared the metrics of kube-state-metrics with the objects of the API server yet")
	errDiscovering  = errors.New("kube-state-metrics has just found custom resource definitions, and reloads all resources")
)

// Gate is open while the kube-state-metrics of its pod exposes all objects of its shard.
type Gate struct {
	cluster *apiserver.Objects
	monitor *ksm.Client
	contact *apiserver.Contact
	// exported returns the resources that count for a version of kube-state-metrics.
	exported func(version string) []exposition.Resource
	deadline time.Duration
	// discovers is whether kube-state-metrics also exports custom resources, and so looks for their definitions.
	discovers bool
	// memory survives a restart of the gate's container.
	memory memory
	// kept is the content of the memory. Only the goroutine of Run uses it.
	kept remembered
	// schedule is when the gate reads everything that kube-state-metrics exposes.
	schedule schedule
	// counting is how the gate counts objects.
	counting counting
	clock    clock.WithTicker
	metrics  *metrics

	// processes reads which process runs, once for all simultaneous callers.
	processes singleflight.Group
	// another has an item when a probe has found a process other than the complete one.
	another chan struct{}

	mu sync.Mutex
	// complete is the process of kube-state-metrics that has exposed all objects of its shard, and incomplete the reason
	// why there is no such process.
	complete   ksm.Process
	incomplete error
	// opened is closed once another process is complete.
	opened chan struct{}
	// contacted is when the API server last answered.
	contacted time.Time
}

// open sets the fields that a gate needs to run. A process that was complete before the gate's container restarted stays
// complete. The API server gets the full time for its first answer.
func (g *Gate) open(ctx context.Context) *Gate {
	g.another, g.opened = make(chan struct{}, 1), make(chan struct{})
	g.incomplete, g.contacted = errNotLookedYet, g.clock.Now()
	g.monitor.Observe = func(families telemetry.Families) { g.metrics.measured.Observe(families, g.clock.Now()) }
	if kept, err := g.memory.load(); err != nil {
		klog.FromContext(ctx).Info("Warning: cannot read the stored process of kube-state-metrics", "reason", err.Error())
	} else {
		g.complete, g.kept = kept.process(), kept
		g.metrics.measured.Resume(kept.StartTimeSeconds, kept.PeakMemoryBytes)
	}
	return g
}

// Check returns nil if kube-state-metrics exposes all objects of its shard, and otherwise the reason. It sends a request
// to kube-state-metrics, because the process may have changed.
func (g *Gate) Check(ctx context.Context) error {
	_, err := g.check(ctx)
	return err
}

// Await is Check, but waits until the running process is complete, or the context is done.
func (g *Gate) Await(ctx context.Context) error {
	for {
		opened, err := g.check(ctx)
		if opened == nil {
			return err
		}
		select {
		case <-opened:
		case <-ctx.Done():
			return err
		}
	}
}

// check returns the result of Check. If the running process is not complete yet, it also returns a channel that is closed
// once a process is complete.
func (g *Gate) check(ctx context.Context) (opened <-chan struct{}, err error) {
	running, err := g.running(ctx)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if running != g.complete {
		select {
		case g.another <- struct{}{}:
		default: // The gate will look in any case.
		}
		return g.opened, g.incomplete
	}
	if silent := g.clock.Since(g.contacted); silent > contactPatience {
		return nil, fmt.Errorf("the API server has not answered for %s", silent.Round(time.Second))
	}
	return nil, nil //nolint:nilnil // Open: there is no error and no channel to wait for.
}

// running is the running process of kube-state-metrics. It returns an error if kube-state-metrics does not answer in time.
func (g *Gate) running(ctx context.Context) (ksm.Process, error) {
	answer := g.processes.DoChan("", func() (any, error) {
		return g.monitor.Process(context.WithoutCancel(ctx), processTimeout)
	})
	select {
	case <-ctx.Done():
		return ksm.Process{}, errors.New("kube-state-metrics has not answered in time")
	case result := <-answer:
		running, _ := result.Val.(ksm.Process)
		return running, result.Err
	}
}

// Run follows each process of kube-state-metrics, until the context is done.
func (g *Gate) Run(ctx context.Context) {
	go g.keepContact(ctx)
	go g.measure(ctx)
	go g.countRepeatedly(ctx)
	for ctx.Err() == nil {
		running, err := g.running(ctx)
		switch {
		case err != nil:
			g.setIncomplete(err)
			g.sleep(ctx, minPause)
		case g.isComplete(running):
			g.metrics.open.Set(1)
			g.keepPeak(ctx, running)
			g.sleepUntilAnother(ctx, followInterval)
		default:
			g.follow(ctx, running)
		}
	}
}

// follow looks at one process of kube-state-metrics repeatedly, until it is complete, is replaced by another process, or
// the deadline has passed.
func (g *Gate) follow(ctx context.Context, running ksm.Process) {
	log := klog.FromContext(ctx)
	began := g.clock.Now()
	g.metrics.open.Set(0)
	g.setIncomplete(errNotLookedYet)
	exported := g.exported(running.Version)
	log.Info("Waiting until kube-state-metrics exposes all objects of its shard", "version", running.Version, "resources", len(exported))
	current := g.begin(ctx, running, exported, began)
	floor := minPause
	for current != nil && ctx.Err() == nil {
		changed, err := g.look(ctx, current)
		waited := g.clock.Since(began)
		if g.opens(ctx, current, waited, err) {
			g.setComplete(ctx, running, waited)
			return
		}
		g.setIncomplete(err)
		log.V(1).Info("Objects are missing", "reason", err.Error())
		floor = nextFloor(floor, changed || !current.exposed)
		g.sleep(ctx, min(max(floor, pauseFactor*current.looked), maxPause))
		now, definitions, err := g.monitor.Discoveries(ctx, processTimeout)
		switch {
		case err == nil && now != running:
			return
		case err == nil && current.custom != nil && definitions != current.custom.definitions && waited < g.deadline:
			current = g.begin(ctx, running, exported, began)
		}
	}
}

// opens reports whether the gate opens after a look, because no object is missing, or because of the deadline.
func (g *Gate) opens(ctx context.Context, current *check, waited time.Duration, err error) bool {
	log := klog.FromContext(ctx)
	switch {
	case err == nil:
		log.Info("kube-state-metrics exposes all objects of its shard", "seconds", waited.Seconds())
	case waited >= g.deadline && current.mayOpen():
		log.Info("Warning: opened by the deadline, although kube-state-metrics does not expose all objects of its shard", "deadline", g.deadline, "reason", err.Error())
		g.metrics.openedByDeadline.Inc()
	default:
		return false
	}
	return true
}

// nextFloor is the least pause after a look. A look is cheap while kube-state-metrics exposes no object at all, so the
// pause stays short.
func nextFloor(floor time.Duration, changed bool) time.Duration {
	if changed {
		return minPause
	}
	return min(2*floor, maxPause)
}

// begin returns a check of a process, whose wait started at began; nil if another process runs instead.
func (g *Gate) begin(ctx context.Context, running ksm.Process, exported []exposition.Resource, began time.Time) *check {
	current := newCheck(g, exported)
	if !g.discovers {
		return current
	}
	definitions, same := g.settle(ctx, running, began)
	if !same {
		return nil
	}
	current.custom = &custom{monitor: g.monitor, clock: g.clock, definitions: definitions}
	return current
}

// settle waits until a process has found all definitions of custom resources, or the deadline has passed. It returns how
// many events of definitions the process has seen, and false if another process runs instead.
func (g *Gate) settle(ctx context.Context, running ksm.Process, began time.Time) (float64, bool) {
	g.setIncomplete(errDiscovering)
	seen, since := 0.0, g.clock.Now()
	for ctx.Err() == nil && g.clock.Since(since) < discoveryPause && g.clock.Since(began) < g.deadline {
		g.sleep(ctx, discoverInterval)
		now, count, err := g.monitor.Discoveries(ctx, processTimeout)
		switch {
		case err == nil && now != running:
			return 0, false
		case err != nil:
			since = g.clock.Now()
		case count != seen:
			seen, since = count, g.clock.Now()
		}
	}
	return seen, ctx.Err() == nil
}

func (g *Gate) look(ctx context.Context, current *check) (changed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, roundTimeout)
	defer cancel()
	return current.round(ctx)
}

// keepContact sends a request to the API server periodically.
func (g *Gate) keepContact(ctx context.Context) {
	for ctx.Err() == nil {
		if err := g.contact.Ask(ctx, contactTimeout); err != nil {
			klog.FromContext(ctx).V(1).Info("The API server does not answer", "reason", err.Error())
		} else {
			g.mu.Lock()
			g.contacted = g.clock.Now()
			g.mu.Unlock()
		}
		g.sleep(ctx, contactInterval)
	}
}

// isComplete reports whether a process is the complete one.
func (g *Gate) isComplete(running ksm.Process) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return running == g.complete
}

// setComplete opens the gate for a process, and records how long the gate has waited for it.
func (g *Gate) setComplete(ctx context.Context, running ksm.Process, waited time.Duration) {
	g.kept = remember(running, g.metrics.measured.PeakOf(running.Started))
	if err := g.memory.save(g.kept); err != nil {
		klog.FromContext(ctx).Info("Warning: cannot store which kube-state-metrics is complete, for a restart of this container", "reason", err.Error())
	}
	g.metrics.open.Set(1)
	g.metrics.syncDuration.Set(waited.Seconds())
	g.mu.Lock()
	defer g.mu.Unlock()
	g.complete, g.incomplete = running, errNotLookedYet
	close(g.opened)
	g.opened = make(chan struct{})
}

// setIncomplete records why no other process is complete. The complete process stays complete while it does not answer.
// Only another process starts from the beginning.
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

// sleepUntilAnother sleeps until a probe finds another process, for at most the duration.
func (g *Gate) sleepUntilAnother(ctx context.Context, duration time.Duration) {
	timer := g.clock.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-g.another:
	case <-timer.C():
	}
}
