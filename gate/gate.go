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

	"github.com/example/ksmscale/telemetry"
)

const (
	// minPause is the least time between two looks while they bring something new, and pauseFactor how many times as long as a
	// look the pause after it is: loading comes first.
	minPause    = 200 * time.Millisecond
	pauseFactor = 2
	// maxPause is the longest pause between two looks. It doubles up to that while they bring nothing new.
	maxPause = 10 * time.Second
	// discoverInterval is how often kube-state-metrics is asked for definitions of custom resources that it has found.
	discoverInterval = time.Second
	// followInterval is how often the gate makes sure that the process that was complete still runs. A readiness probe that meets
	// another one wakes it sooner.
	followInterval = 5 * time.Second
	// contactInterval is how often the API server is asked for an answer, contactTimeout how long it has to give
	// one, and contactPatience for how long none is borne. With the readiness probe's own patience, kube-state-metrics
	// is unready less than a minute after it has lost the API server, and stays ready while that restarts.
	contactInterval = 5 * time.Second
	contactTimeout  = 5 * time.Second
	contactPatience = 30 * time.Second
	// processTimeout is how long kube-state-metrics has for an answer about itself. A readiness probe that gives up sooner leaves
	// it to the next one.
	processTimeout = 4 * time.Second
	// roundTimeout is how long one round of lists and a look may take.
	roundTimeout = 5 * time.Minute
	// discoveryPause is how long kube-state-metrics must have seen no change of definitions of custom resources: it looks
	// every three seconds whether there was one, and then begins anew, with all resources.
	discoveryPause = 10 * time.Second
)

var (
	errNotLookedYet = errors.New("the gate has not compared yet what kube-state-metrics exposes with what the API server has")
	errDiscovering  = errors.New("kube-state-metrics has just learnt of custom resources, and begins anew for them")
)

// Gate is open while the kube-state-metrics beside it exposes its whole share.
type Gate struct {
	cluster *cluster
	monitor *monitor
	contact *contact
	// exported are the resources that count for a version of kube-state-metrics.
	exported func(version string) []resource
	deadline time.Duration
	// discovers is whether kube-state-metrics exports custom resources too, and so looks for their definitions.
	discovers bool
	// memory outlives the gate's container.
	memory memory
	// kept is what the memory has; the goroutine of Run has it for itself.
	kept remembered
	// schedule is when everything that kube-state-metrics exposes is measured.
	schedule schedule
	clock    clock.WithTicker
	metrics  *metrics

	// processes reads which process runs, once for all that ask at the same time.
	processes singleflight.Group
	// another has an item when a probe has met a process other than the complete one.
	another chan struct{}

	mu sync.Mutex
	// complete is the process of kube-state-metrics that exposed its whole share, and incomplete why there is none.
	complete   process
	incomplete error
	// opened is closed once there is another complete process.
	opened chan struct{}
	// contacted is when the API server last answered.
	contacted time.Time
}

// open fills in what a gate needs to run: a process that was complete before the gate's container restarted still is, and the
// API server gets the time to answer that it has at any other moment.
func (g *Gate) open(ctx context.Context) *Gate {
	g.another, g.opened = make(chan struct{}, 1), make(chan struct{})
	g.incomplete, g.contacted = errNotLookedYet, g.clock.Now()
	g.monitor.observe = func(families telemetry.Families) { g.metrics.measured.observe(families, g.clock.Now()) }
	if kept, err := g.memory.load(); err != nil {
		klog.FromContext(ctx).Info("Warning: cannot read which kube-state-metrics was complete before", "reason", err.Error())
	} else {
		g.complete, g.kept = kept.process(), kept
		g.metrics.measured.resume(kept.StartTimeSeconds, kept.PeakMemoryBytes)
	}
	return g
}

// Check returns nil if kube-state-metrics exposes its whole share, and else why it is not known to. It asks
// kube-state-metrics itself, because a new process must not be taken for the one before.
func (g *Gate) Check(ctx context.Context) error {
	_, err := g.check(ctx)
	return err
}

// Await is Check, but waits for a process that does not expose its whole share yet, until the context is done.
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

// check returns what Check does, and what is closed once a process exposes its whole share, if the one that runs does not yet.
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
		default: // The gate is going to look anyway.
		}
		return g.opened, g.incomplete
	}
	if silent := g.clock.Since(g.contacted); silent > contactPatience {
		return nil, fmt.Errorf("the API server has not answered for %s", silent.Round(time.Second))
	}
	return nil, nil //nolint:nilnil // Open: there is neither an error nor anything to wait for.
}

// running is the process of kube-state-metrics that runs. It returns an error if that does not answer in time.
func (g *Gate) running(ctx context.Context) (process, error) {
	answer := g.processes.DoChan("", func() (any, error) {
		return g.monitor.process(context.WithoutCancel(ctx), processTimeout)
	})
	select {
	case <-ctx.Done():
		return process{}, errors.New("kube-state-metrics has not answered in time")
	case result := <-answer:
		running, _ := result.Val.(process)
		return running, result.Err
	}
}

// Run follows kube-state-metrics from start to start, until the context is done.
func (g *Gate) Run(ctx context.Context) {
	go g.keepContact(ctx)
	go g.measure(ctx)
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

// follow looks at one process of kube-state-metrics again and again, until it exposes its share, is another one, or
// the deadline is over.
func (g *Gate) follow(ctx context.Context, running process) {
	log := klog.FromContext(ctx)
	began := g.clock.Now()
	g.metrics.open.Set(0)
	g.setIncomplete(errNotLookedYet)
	exported := g.exported(running.version)
	log.Info("Waiting until kube-state-metrics exposes its share", "version", running.version, "resources", len(exported))
	check := g.begin(ctx, running, exported, began)
	floor := minPause
	for check != nil && ctx.Err() == nil {
		changed, err := g.look(ctx, check)
		waited := g.clock.Since(began)
		if g.opens(ctx, check, waited, err) {
			g.setComplete(ctx, running, waited)
			return
		}
		g.setIncomplete(err)
		log.V(1).Info("Not yet", "reason", err.Error())
		floor = nextFloor(floor, changed || !check.exposed)
		g.sleep(ctx, min(max(floor, pauseFactor*check.looked), maxPause))
		now, definitions, err := g.monitor.discoveries(ctx, processTimeout)
		switch {
		case err == nil && now != running:
			return
		case err == nil && check.custom != nil && definitions != check.custom.definitions && waited < g.deadline:
			check = g.begin(ctx, running, exported, began)
		}
	}
}

// opens tells whether the gate opens after a look: if nothing is missing, or because of the deadline.
func (g *Gate) opens(ctx context.Context, check *check, waited time.Duration, err error) bool {
	log := klog.FromContext(ctx)
	switch {
	case err == nil:
		log.Info("kube-state-metrics exposes its share", "seconds", waited.Seconds())
	case waited >= g.deadline && check.mayOpen():
		log.Info("Warning: opened by the deadline, though kube-state-metrics does not expose its share", "deadline", g.deadline, "reason", err.Error())
		g.metrics.openedByDeadline.Inc()
	default:
		return false
	}
	return true
}

// nextFloor is the least pause after a look. While kube-state-metrics exposes nothing at all, a look costs next to nothing.
func nextFloor(floor time.Duration, changed bool) time.Duration {
	if changed {
		return minPause
	}
	return min(2*floor, maxPause)
}

// begin returns a check of a process, which has waited since began; nil if there is another process instead.
func (g *Gate) begin(ctx context.Context, running process, exported []resource, began time.Time) *check {
	check := newCheck(g, exported)
	if !g.discovers {
		return check
	}
	definitions, same := g.settle(ctx, running, began)
	if !same {
		return nil
	}
	check.custom = &custom{monitor: g.monitor, clock: g.clock, definitions: definitions}
	return check
}

// settle waits until a process has found the definitions of custom resources that there are, or the deadline is over, and
// returns how many events of them it has seen. It returns false if there is another process instead.
func (g *Gate) settle(ctx context.Context, running process, began time.Time) (float64, bool) {
	g.setIncomplete(errDiscovering)
	seen, since := 0.0, g.clock.Now()
	for ctx.Err() == nil && g.clock.Since(since) < discoveryPause && g.clock.Since(began) < g.deadline {
		g.sleep(ctx, discoverInterval)
		now, count, err := g.monitor.discoveries(ctx, processTimeout)
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

func (g *Gate) look(ctx context.Context, check *check) (changed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, roundTimeout)
	defer cancel()
	return check.round(ctx)
}

// keepContact asks the API server for an answer from time to time.
func (g *Gate) keepContact(ctx context.Context) {
	for ctx.Err() == nil {
		if err := g.contact.ask(ctx, contactTimeout); err != nil {
			klog.FromContext(ctx).V(1).Info("No contact", "reason", err.Error())
		} else {
			g.mu.Lock()
			g.contacted = g.clock.Now()
			g.mu.Unlock()
		}
		g.sleep(ctx, contactInterval)
	}
}

// isComplete tells whether a process exposed its whole share.
func (g *Gate) isComplete(running process) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return running == g.complete
}

// setComplete opens the gate for a process, which has been waited for.
func (g *Gate) setComplete(ctx context.Context, running process, waited time.Duration) {
	g.kept = remember(running, g.metrics.measured.peakOf(running))
	if err := g.memory.save(g.kept); err != nil {
		klog.FromContext(ctx).Info("Warning: cannot keep which kube-state-metrics is complete, for a restart of this container", "reason", err.Error())
	}
	g.metrics.open.Set(1)
	g.metrics.syncDuration.Set(waited.Seconds())
	g.mu.Lock()
	defer g.mu.Unlock()
	g.complete, g.incomplete = running, errNotLookedYet
	close(g.opened)
	g.opened = make(chan struct{})
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

// sleepUntilAnother sleeps, at most until a probe meets another process.
func (g *Gate) sleepUntilAnother(ctx context.Context, duration time.Duration) {
	timer := g.clock.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-g.another:
	case <-timer.C():
	}
}
