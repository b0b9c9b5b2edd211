package gate

import (
	"context"
	"errors"
	"time"

	"k8s.io/klog/v2"

	"github.com/example/ksmscale/gate/ksm"
)

const (
	// firstWithin is the longest time from the opening of the gate to the first reading.
	firstWithin = 30 * time.Second
	// measureTimeout limits one reading. Prometheus ends a scrape sooner.
	measureTimeout = time.Minute
)

var errRestarted = errors.New("kube-state-metrics has restarted during the reading")

// schedule is when a gate reads everything that kube-state-metrics exposes. Each gate has another phase, from 0 to less
// than 1, so the gates of a shard do not read at the same time.
type schedule struct {
	// interval is the time from one reading to the next; 0 for no readings.
	interval time.Duration
	phase    float64
}

// first is the pause between the opening of the gate and the first reading. It differs between replicas that open
// together.
func (s schedule) first() time.Duration {
	return time.Duration(s.phase * float64(min(s.interval/2, firstWithin)))
}

// next is the pause until the next reading. All readings except the first are at the same phase of the interval, so the
// gates keep their distance. The pause is at least half an interval, even after a long reading.
func (s schedule) next(now time.Time) time.Duration {
	pause := now.Truncate(s.interval).Add(time.Duration(s.phase * float64(s.interval))).Sub(now)
	for pause < s.interval/2 {
		pause += s.interval
	}
	return pause
}

// measure reads everything that kube-state-metrics exposes, repeatedly while the gate is open, until the context is done.
// A failed reading does not close the gate.
func (g *Gate) measure(ctx context.Context) {
	if g.schedule.interval <= 0 {
		return
	}
	var measuredProcess ksm.Process
	var due time.Time
	for ctx.Err() == nil {
		running, err := g.running(ctx)
		if err != nil || !g.isComplete(running) {
			g.sleepUntilOpened(ctx, followInterval)
			continue
		}
		now := g.clock.Now()
		if running != measuredProcess {
			measuredProcess, due = running, now.Add(g.schedule.first())
		}
		if !now.Before(due) {
			g.measureOnce(ctx, running)
			now = g.clock.Now()
			due = now.Add(g.schedule.next(now))
		}
		g.sleepUntilOpened(ctx, due.Sub(now))
	}
}

// measureOnce measures the exposition of a process, and counts a failure.
func (g *Gate) measureOnce(ctx context.Context, running ksm.Process) {
	ctx, cancel := context.WithTimeout(ctx, measureTimeout)
	defer cancel()
	began := g.clock.Now()
	exposition, err := g.monitor.Exposition(ctx)
	if err == nil {
		exposition.MeasuredAt = g.clock.Now()
		exposition.ScrapeSeconds = exposition.MeasuredAt.Sub(began).Seconds()
		// A process that has just started exposes only some objects.
		err = g.stillRuns(ctx, running)
	}
	if err != nil {
		g.metrics.measured.Failures.Inc()
		klog.FromContext(ctx).Error(err, "Cannot measure kube-state-metrics")
		return
	}
	g.metrics.measured.Set(exposition)
}

// stillRuns returns an error if another process runs.
func (g *Gate) stillRuns(ctx context.Context, before ksm.Process) error {
	running, err := g.running(ctx)
	if err == nil && running != before {
		err = errRestarted
	}
	return err
}

// keepPeak stores the highest memory of the complete process for a restart of the gate's container.
func (g *Gate) keepPeak(ctx context.Context, running ksm.Process) {
	peak := g.metrics.measured.PeakOf(running.Started)
	if peak <= g.kept.PeakMemoryBytes && running == g.kept.process() {
		return
	}
	g.kept = remember(running, peak)
	if err := g.memory.save(g.kept); err != nil {
		klog.FromContext(ctx).V(1).Info("Cannot store the highest memory of kube-state-metrics", "reason", err.Error())
	}
}

// sleepUntilOpened sleeps until a process becomes complete, for at most the duration.
func (g *Gate) sleepUntilOpened(ctx context.Context, duration time.Duration) {
	g.mu.Lock()
	opened := g.opened
	g.mu.Unlock()
	timer := g.clock.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-opened:
	case <-timer.C():
	}
}
