package gate

import (
	"context"
	"math/rand/v2"
	"net/http/httptest"
	goruntime "runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/example/ksmscale/gate/ksm"
	"github.com/example/ksmscale/measurements"
	"github.com/example/ksmscale/telemetry"
)

// measurement is what the controller reads from the gate.
func (f *fixture) measurement(t *testing.T) measurements.Measurement {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(f.metrics.measured, f.metrics.counted)
	server := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	defer server.Close()
	measurement, err := measurements.Read(t.Context(), telemetry.Client{}, server.URL)
	require.NoError(t, err)
	return measurement
}

// measures measures the running process once.
func (f *fixture) measures(t *testing.T) {
	t.Helper()
	running, err := f.running(t.Context())
	require.NoError(t, err)
	f.measureOnce(t.Context(), running)
}

func (f *fixture) pagesRead() (pages int) {
	f.change(func() { pages = f.pages })
	return pages
}

func TestMeasuresExactly(t *testing.T) {
	for name, compresses := range map[string]bool{"as it is": false, "compressed": true} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.compresses = compresses
			f.expose("a", "other/a", "b")
			f.uses(7, 5000, 3)
			assert.Equal(t, measurements.Measurement{Exposition: measurements.Exposition{Objects: map[string]int64{}}}, f.measurement(t), "nothing yet")
			f.measures(t)

			measurement := f.measurement(t)
			size := int64(len(f.exposed))
			transferred := measurement.TransferredBytes
			if compresses {
				assert.Less(t, transferred, size)
				assert.Positive(t, transferred)
			} else {
				assert.Equal(t, size, transferred)
			}
			assert.Equal(t, measurements.Measurement{
				Exposition: measurements.Exposition{
					Series: 6, ExpositionBytes: size, TransferredBytes: transferred,
					Objects: map[string]int64{"pods": 3, "nodes": 0}, MeasuredAt: f.clock.Now(),
				},
				Process: measurements.Process{StartTimeSeconds: 1.5, PeakMemoryBytes: 5000, CPUSeconds: 7, RequestSeconds: 3, ReadAt: f.clock.Now()},
			}, measurement)
		})
	}
}

func TestReadingsThatFailAreCountedAndCloseNoGate(t *testing.T) {
	f := newFixture(t, "a")
	f.expose("a")
	f.start(t)
	f.becomes(t, "")
	f.measures(t)
	before := f.measurement(t)

	f.exposeText("kube_pod_info{pod=\"" + strings.Repeat("a", 5<<20))
	f.measures(t)
	f.exposeText("")
	running, err := f.running(t.Context())
	require.NoError(t, err)
	f.restart()
	f.measureOnce(t.Context(), running)
	assert.InDelta(t, 2, testutil.ToFloat64(f.metrics.measured.Failures), 0)
	assert.Equal(t, before.Exposition, f.measurement(t).Exposition, "the last one stays")

	f.expose("a")
	f.becomes(t, "")
	f.silence()
	f.measureOnce(t.Context(), running)
	assert.InDelta(t, 3, testutil.ToFloat64(f.metrics.measured.Failures), 0)
	assert.True(t, f.isComplete(ksm.Process{Started: 2.5, Version: "v2.20.0"}))
}

func TestNothingIsMeasuredBeforeTheGateIsOpen(t *testing.T) {
	f := newFixture(t, "a")
	f.schedule = schedule{interval: 2 * time.Minute, phase: 0.5}
	f.expose()
	f.start(t)
	f.becomes(t, "pods: 1")
	for range 20 {
		f.clock.Step(minPause)
		f.reports(t, "pods: 1")
	}
	assert.Zero(t, f.pagesRead())

	f.expose("a")
	f.becomes(t, "")
	opened := f.clock.Now()
	f.awaitPages(t, 1)
	assert.InDelta(t, 15, f.clock.Since(opened).Seconds(), 2*followInterval.Seconds(), "half of what the first reading waits at most")
	firstReading := f.clock.Now()
	f.awaitPages(t, 2)
	assert.InDelta(t, f.schedule.interval.Seconds(), f.clock.Since(firstReading).Seconds(), f.schedule.interval.Seconds()/2+2*followInterval.Seconds())
	second := f.clock.Now()
	f.awaitPages(t, 3)
	assert.InDelta(t, f.schedule.interval.Seconds(), f.clock.Since(second).Seconds(), 2*minPause.Seconds())

	t.Run("nor while another process is not complete", func(t *testing.T) {
		f.expose()
		f.restart()
		f.becomes(t, "pods: 1")
		before := f.pagesRead()
		f.clock.Step(f.schedule.interval)
		f.becomes(t, "pods: 1")
		assert.Equal(t, before, f.pagesRead())
		f.expose("a")
		f.becomes(t, "")
		opened := f.clock.Now()
		f.awaitPages(t, before+1)
		assert.Less(t, f.clock.Since(opened), firstWithin+2*followInterval, "soon again")
	})
}

// awaitPages lets time go by, while all goroutines of the gate sleep, until the gate has read everything so many times.
func (f *fixture) awaitPages(t *testing.T, pages int) {
	t.Helper()
	const goroutines = 3 // Run, keepContact and measure
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for f.pagesRead() < pages {
		require.NoError(t, ctx.Err())
		if f.clock.Waiters() == goroutines {
			f.clock.Step(minPause)
		}
		goruntime.Gosched()
	}
}

func TestNothingIsMeasuredWithoutAnInterval(t *testing.T) {
	f := newFixture(t, "a")
	f.schedule = schedule{}
	f.measure(t.Context()) // It returns.
	assert.Zero(t, f.pagesRead())
}

func TestGatesReadAtDifferentTimes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, interval := range []time.Duration{time.Second, time.Minute, 5 * time.Minute, 7 * time.Hour} {
		for _, phase := range []float64{0, 0.25, 0.5, 0.9999} {
			s := schedule{interval: interval, phase: phase}
			assert.LessOrEqual(t, s.first(), firstWithin)
			assert.LessOrEqual(t, s.first(), interval/2)
			now := time.Date(2026, 1, 1, 0, 0, 0, random.IntN(1e9), time.UTC)
			for range 5 {
				pause := s.next(now)
				assert.GreaterOrEqual(t, pause, interval/2)
				assert.LessOrEqual(t, pause, interval*3/2)
				now = now.Add(pause)
				assert.InDelta(t, phase, float64(now.Sub(now.Truncate(interval)))/float64(interval), 1e-6, "the distance to the other gates stays")
				now = now.Add(time.Duration(random.Int64N(int64(interval / 2)))) // It takes a while.
			}
		}
	}
	early, late := schedule{5 * time.Minute, 0.1}, schedule{5 * time.Minute, 0.7}
	assert.Equal(t, 18*time.Second, late.first()-early.first(), "gates that open together")
}

func TestPeakMemoryIsThatOfTheProcess(t *testing.T) {
	file := t.TempDir() + "/gate.json"
	f := newFixture(t, "a")
	f.memory = memory{file}
	f.expose("a")
	f.uses(1, 9000, 0)
	f.start(t)
	f.becomes(t, "")
	f.uses(2, 4000, 0)
	f.becomes(t, "")
	assert.Equal(t, measurements.Process{StartTimeSeconds: 1.5, PeakMemoryBytes: 9000, CPUSeconds: 2, ReadAt: f.measurement(t).ReadAt}, f.measurement(t).Process)

	t.Run("which outlives the gate's container", func(t *testing.T) {
		f.uses(3, 9500, 0)
		require.EventuallyWithT(t, func(t *assert.CollectT) {
			f.clock.Step(minPause)
			kept, err := memory{file}.load()
			assert.NoError(t, err)
			assert.Equal(t, remembered{StartTimeSeconds: 1.5, Version: "v2.20.0", PeakMemoryBytes: 9500}, kept)
		}, 10*time.Second, time.Millisecond)
		f.uses(4, 4000, 0)
		another := newFixture(t, "a")
		another.Gate.monitor, another.memory = f.fakeMonitor.monitor(), memory{file}
		another.open(t.Context())
		assert.Zero(t, another.measurement(t).Process, "until the process has answered")
		_, err := another.running(t.Context())
		require.NoError(t, err)
		assert.EqualValues(t, 9500, another.measurement(t).PeakMemoryBytes)
	})

	t.Run("and not that of the next one", func(t *testing.T) {
		f.uses(1, 6000, 0)
		f.restart()
		_, err := f.running(context.WithoutCancel(t.Context()))
		require.NoError(t, err)
		assert.InDelta(t, 2.5, f.measurement(t).StartTimeSeconds, 0)
		assert.EqualValues(t, 6000, f.measurement(t).PeakMemoryBytes)
		assert.InDelta(t, 1, f.measurement(t).CPUSeconds, 0)
	})
}

func TestMeasuredMetricsAreNamedByConvention(t *testing.T) {
	f := newFixture(t)
	f.expose("a")
	f.measures(t)
	problems, err := testutil.CollectAndLint(f.metrics.measured)
	require.NoError(t, err)
	assert.Empty(t, problems)
}

func TestMeasureIntervalIsValidated(t *testing.T) {
	options := NewOptions()
	require.NoError(t, options.Validate())
	options.MeasureInterval = 0
	require.NoError(t, options.Validate())
	for _, wrong := range []time.Duration{-time.Second, time.Millisecond} {
		options.MeasureInterval = wrong
		require.ErrorContains(t, options.Validate(), "--measure-interval is "+wrong.String())
	}
}
