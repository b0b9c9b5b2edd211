package gate

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"k8s.io/klog/v2"

	"github.com/example/ksmscale/measurements"
)

const (
	// firstWithin is how soon after the gate has opened the first reading begins, at the latest.
	firstWithin = 30 * time.Second
	// measureTimeout bounds one reading. Prometheus gives up a scrape sooner.
	measureTimeout = time.Minute
)

var errRestarted = errors.New("kube-state-metrics has restarted meanwhile")

// schedule is when a gate reads everything that kube-state-metrics exposes. Each gate has a phase of its own, from 0 to less
// than 1, so the gates of a shard do not read at the same time.
type schedule struct {
	// interval is the time from one reading to the next; 0 for no readings at all.
	interval time.Duration
	phase    float64
}

// first is the pause between the opening of the gate and the first reading. Replicas that open together are apart.
func (s schedule) first() time.Duration {
	return time.Duration(s.phase * float64(min(s.interval/2, firstWithin)))
}

// next is the pause until the next reading. All readings but the first are at the same phase of the interval, so gates stay
// apart. The pause is at least half an interval, whatever a reading takes.
func (s schedule) next(now time.Time) time.Duration {
	pause := now.Truncate(s.interval).Add(time.Duration(s.phase * float64(s.interval))).Sub(now)
	for pause < s.interval/2 {
		pause += s.interval
	}
	return pause
}

// measure reads everything that kube-state-metrics exposes, again and again while the gate is open, until the context is
// done. No failure of it closes the gate.
func (g *Gate) measure(ctx context.Context) {
	if g.schedule.interval <= 0 {
		return
	}
	var of process
	var due time.Time
	for ctx.Err() == nil {
		running, err := g.running(ctx)
		if err != nil || !g.isComplete(running) {
			g.sleepUntilOpened(ctx, followInterval)
			continue
		}
		now := g.clock.Now()
		if running != of {
			of, due = running, now.Add(g.schedule.first())
		}
		if !now.Before(due) {
			g.measureOnce(ctx, running)
			now = g.clock.Now()
			due = now.Add(g.schedule.next(now))
		}
		g.sleepUntilOpened(ctx, due.Sub(now))
	}
}

// measureOnce measures what a process exposes, and counts a failure.
func (g *Gate) measureOnce(ctx context.Context, running process) {
	ctx, cancel := context.WithTimeout(ctx, measureTimeout)
	defer cancel()
	began := g.clock.Now()
	exposition, err := g.monitor.exposition(ctx)
	if err == nil {
		exposition.MeasuredAt = g.clock.Now()
		exposition.ScrapeSeconds = exposition.MeasuredAt.Sub(began).Seconds()
		// A process that has just started exposes a part.
		err = g.stillRuns(ctx, running)
	}
	if err != nil {
		g.metrics.measured.failures.Inc()
		klog.FromContext(ctx).Error(err, "Cannot measure what kube-state-metrics exposes")
		return
	}
	g.metrics.measured.set(exposition)
}

// stillRuns returns an error if another process runs.
func (g *Gate) stillRuns(ctx context.Context, before process) error {
	running, err := g.running(ctx)
	if err == nil && running != before {
		err = errRestarted
	}
	return err
}

// keepPeak keeps the highest memory of the complete process for a restart of the gate's container.
func (g *Gate) keepPeak(ctx context.Context, running process) {
	peak := g.metrics.measured.peakOf(running)
	if peak <= g.kept.PeakMemoryBytes && running == g.kept.process() {
		return
	}
	g.kept = remember(running, peak)
	if err := g.memory.save(g.kept); err != nil {
		klog.FromContext(ctx).V(1).Info("Cannot keep the highest memory of kube-state-metrics", "reason", err.Error())
	}
}

// sleepUntilOpened sleeps, at most until a process becomes complete.
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

// exposition reads everything that kube-state-metrics exposes, as a scraper does, and keeps nothing but the numbers.
func (m *monitor) exposition(ctx context.Context) (measurements.Exposition, error) {
	// A client that names the encoding itself decompresses itself, and so can count what is transferred.
	response, err := m.do(ctx, m.metrics, "gzip")
	if err != nil {
		return measurements.Exposition{}, err
	}
	defer response.Body.Close()
	transferred := &byteCounter{from: response.Body}
	exposed := &byteCounter{from: transferred}
	if response.Header.Get("Content-Encoding") == "gzip" {
		if exposed.from, err = gzip.NewReader(transferred); err != nil {
			return measurements.Exposition{}, fmt.Errorf("decompress metrics: %w", err)
		}
	}
	var counts tally
	if err := counts.read(exposed); err != nil {
		return measurements.Exposition{}, err
	}
	return measurements.Exposition{
		Series: counts.series, Objects: counts.objects,
		ExpositionBytes: exposed.bytes, TransferredBytes: transferred.bytes,
	}, nil
}

// byteCounter counts what is read through it.
type byteCounter struct {
	from  io.Reader
	bytes int64
}

func (c *byteCounter) Read(to []byte) (int, error) {
	read, err := c.from.Read(to)
	c.bytes += int64(read)
	return read, err
}
