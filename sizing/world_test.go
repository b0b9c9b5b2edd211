package sizing_test

import (
	"math/rand/v2"
	"time"

	"github.com/example/ksmscale/sizing"
)

const (
	mib      = 1 << 20
	interval = 5 * time.Minute
	day      = 24 * time.Hour
	week     = 7 * day
)

// measured are figures of shards that all have this many series, and take this much memory.
func measured(shards int32, series, memory int64) sizing.Figures {
	figures := sizing.Figures{Version: "v2.20.0", Total: shards}
	for range shards {
		figures.Shards = append(figures.Shards, sizing.Measurement{Known: true, Series: series, ExpositionBytes: 170 * series, PeakMemoryBytes: memory, CPUCores: 0.01})
	}
	return figures
}

// world is a cluster whose KSMScale applies every recommendation at once.
type world struct {
	settings sizing.Settings
	bounds   sizing.Bounds
	size     sizing.SizeBounds
	version  string
	// series are how many the cluster has at a time since the start.
	series func(time.Duration) float64
	// noise is how far a measurement may be off, and uneven how far a shard is from the mean.
	noise, uneven float64
	// memory is how many times of the formula processes take.
	memory float64
	random *rand.Rand

	now     time.Duration
	state   sizing.State
	running sizing.Recommendation
	// peaks and offsets are of each shard, since its process started.
	peaks   []int64
	offsets []float64
	changes []change
}

// change is one recommendation that followed another.
type change struct {
	at       time.Duration
	from, to sizing.Recommendation
}

func newWorld(series func(time.Duration) float64) *world {
	return &world{
		settings: sizing.DefaultSettings(), bounds: sizing.DefaultBounds(), size: sizing.DefaultSizeBounds(),
		version: "v2.20.0", series: series, memory: 1, random: rand.New(rand.NewPCG(1, 2)),
	}
}

// off is a random factor around 1.
func (w *world) off(by float64) float64 { return 1 + by*(2*w.random.Float64()-1) }

// start takes the first recommendation, from an estimate.
func (w *world) start() {
	series := int64(w.series(0))
	w.recommend(sizing.Figures{Version: w.version, Estimate: &sizing.Estimate{Series: series, ExpositionBytes: 170 * series}})
	w.changes = nil
}

func (w *world) recommend(figures sizing.Figures) {
	next, state := w.settings.Recommend(sizing.Input{
		Previous: w.running, Figures: figures, Bounds: w.bounds, Size: w.size, ApplyShards: true,
	}, w.state, time.Unix(0, 0).Add(w.now))
	w.state = state
	if next == w.running {
		return
	}
	w.changes = append(w.changes, change{at: w.now, from: w.running, to: next})
	if next.Shards != w.running.Shards {
		w.offsets = nil
		for range next.Shards {
			w.offsets = append(w.offsets, w.off(w.uneven))
		}
	}
	w.running = next
	w.peaks = make([]int64, next.Shards)
}

// measure is one reading of all shards.
func (w *world) measure() sizing.Figures {
	formula, _ := sizing.FormulaFor(w.version)
	figures := sizing.Figures{Version: w.version, Total: w.running.Shards}
	for shard := range w.running.Shards {
		whole := w.series(w.now) * w.off(w.noise)
		series := int64(whole / float64(w.running.Shards) * w.offsets[shard])
		w.peaks[shard] = max(w.peaks[shard], int64(w.memory*float64(formula.Memory(series, int64(whole)))))
		figures.Shards = append(figures.Shards, sizing.Measurement{
			Known: true, Series: series, ExpositionBytes: 170 * series, PeakMemoryBytes: w.peaks[shard],
			CPUCores: 2e-7 * float64(series) * w.off(w.noise),
		})
	}
	return figures
}

// run lets time pass, and calls a function after each reading.
func (w *world) run(until time.Duration, after func(sizing.Figures)) {
	for ; w.now < until; w.now += interval {
		figures := w.measure()
		w.recommend(figures)
		after(figures)
	}
}

// reshards are the changes of the number of shards.
func (w *world) reshards() (reshards []change) {
	for _, change := range w.changes {
		if change.from.Shards != change.to.Shards {
			reshards = append(reshards, change)
		}
	}
	return reshards
}
