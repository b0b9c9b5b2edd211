package sizing_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/example/ksmscale/sizing"
)

// drawBounds are any that the API accepts.
func drawBounds(t *rapid.T) sizing.Bounds {
	lowest := rapid.Int32Range(1, 64).Draw(t, "minShards")
	bounds := sizing.Bounds{
		MinShards: lowest, MaxShards: rapid.Int32Range(lowest, 64).Draw(t, "maxShards"),
		TargetSeries: rapid.Int64Range(10_000, 1_000_000).Draw(t, "targetSeries"),
	}
	if rapid.Bool().Draw(t, "limited") {
		bounds.TargetBytes = rapid.Int64Range(1<<20, 256<<20).Draw(t, "targetBytes")
	}
	return bounds
}

func drawFigures(t *rapid.T) sizing.Figures {
	figures := sizing.Figures{
		Version: rapid.SampledFrom([]string{"v2.20.0", "v2.18.0", "v2.10.1", ""}).Draw(t, "version"),
		Total:   rapid.Int32Range(1, 64).Draw(t, "shards"),
	}
	for range figures.Total {
		series := rapid.Int64Range(0, 5_000_000).Draw(t, "series")
		figures.Shards = append(figures.Shards, sizing.Measurement{
			Known: true, Series: series, ExpositionBytes: series * rapid.Int64Range(50, 400).Draw(t, "bytes"),
			PeakMemoryBytes: rapid.Int64Range(30*mib, 20_000*mib).Draw(t, "memory"), CPUCores: rapid.Float64Range(0, 8).Draw(t, "cpu"),
		})
	}
	return figures
}

func drawSize(t *rapid.T) sizing.SizeBounds {
	size := sizing.SizeBounds{HeadroomPercent: rapid.Int32Range(0, 300).Draw(t, "headroom"), MinMilliCPU: 100, Limits: rapid.Bool().Draw(t, "limits")}
	if rapid.Bool().Draw(t, "bounded") {
		size.MinMemoryBytes = rapid.Int64Range(1, 1000*mib).Draw(t, "minMemory")
		size.MaxMemoryBytes = rapid.Int64Range(size.MinMemoryBytes, 30_000*mib).Draw(t, "maxMemory")
	}
	return size
}

func TestShardsFitOrAreAtABound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		figures, bounds := drawFigures(t), drawBounds(t)
		var series, size int64
		for _, shard := range figures.Shards {
			series, size = max(series, shard.Series), max(size, shard.ExpositionBytes)
		}
		// The largest shard decides, as if all were as large.
		fits := func(shards int32) bool {
			return 4*series*int64(figures.Total) <= 3*bounds.TargetSeries*int64(shards) &&
				(bounds.TargetBytes == 0 || 4*size*int64(figures.Total) <= 3*bounds.TargetBytes*int64(shards))
		}
		shards := sizing.Shards(figures, bounds)
		assert.GreaterOrEqual(t, shards, bounds.MinShards)
		assert.LessOrEqual(t, shards, bounds.MaxShards)
		if shards < bounds.MaxShards {
			assert.True(t, fits(shards), "each shard has a quarter to spare")
		}
		if shards > bounds.MinShards {
			assert.False(t, fits(shards-1), "it is the lowest such number")
		}
	})
}

func TestShardsAreMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		figures, bounds := drawFigures(t), drawBounds(t)
		before := sizing.Shards(figures, bounds)
		shard := rapid.IntRange(0, len(figures.Shards)-1).Draw(t, "growing")
		figures.Shards[shard].Series += rapid.Int64Range(0, 1_000_000).Draw(t, "more")
		figures.Shards[shard].ExpositionBytes += rapid.Int64Range(0, 1<<28).Draw(t, "moreBytes")
		assert.GreaterOrEqual(t, sizing.Shards(figures, bounds), before)
	})
}

func TestRequestsAreMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		version := rapid.SampledFrom([]string{"v2.20.0", "v2.18.0"}).Draw(t, "version")
		size := drawSize(t)
		shards := rapid.Int32Range(1, 64).Draw(t, "shards")
		bounds := sizing.Bounds{MinShards: shards, MaxShards: shards, TargetSeries: 250_000}
		first := func(series int64) sizing.Recommendation {
			recommended, _ := sizing.DefaultSettings().Recommend(sizing.Input{
				Figures: sizing.Figures{Version: version, Estimate: &sizing.Estimate{Series: series}}, Bounds: bounds, Size: size,
			}, sizing.State{}, time.Unix(0, 0))
			return recommended
		}
		series := rapid.Int64Range(0, 20_000_000).Draw(t, "series")
		few, many := first(series), first(series+rapid.Int64Range(0, 20_000_000).Draw(t, "more"))
		assert.GreaterOrEqual(t, many.MemoryRequestBytes, few.MemoryRequestBytes)
		assert.GreaterOrEqual(t, many.MilliCPURequest, few.MilliCPURequest)
	})
}

// A recommendation that is looked at again for a week, applied or not, is the same.
func TestRecommendationsAreIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := sizing.Input{Figures: drawFigures(t), Bounds: drawBounds(t), Size: drawSize(t), Nodes: 800, CalculatedReplicas: 54}
		settings := sizing.DefaultSettings()
		first, state := settings.Recommend(in, sizing.State{}, time.Unix(0, 0))
		require.NotZero(t, first)
		for hour := range 7 * 24 {
			in.Previous = first
			var again sizing.Recommendation
			again, state = settings.Recommend(in, state, time.Unix(0, 0).Add(time.Duration(hour)*time.Hour))
			require.Equal(t, first, again)
		}
	})
}

func TestRequestsAreWithinBoundsAndAboveMemory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := sizing.Input{Figures: drawFigures(t), Bounds: drawBounds(t), Size: drawSize(t), ApplyShards: rapid.Bool().Draw(t, "apply")}
		in.Previous.Shards = rapid.Int32Range(0, 64).Draw(t, "previousShards")
		in.Previous.MemoryRequestBytes = rapid.Int64Range(0, 10_000*mib).Draw(t, "previousMemory")
		next, _ := sizing.DefaultSettings().Recommend(in, sizing.State{}, time.Unix(0, 0))
		assert.GreaterOrEqual(t, next.Shards, in.Bounds.MinShards)
		assert.LessOrEqual(t, next.Shards, in.Bounds.MaxShards)
		assert.GreaterOrEqual(t, next.MilliCPURequest, in.Size.MinMilliCPU)
		assert.GreaterOrEqual(t, next.MemoryRequestBytes, in.Size.MinMemoryBytes)
		if in.Size.MaxMemoryBytes > 0 {
			assert.LessOrEqual(t, next.MemoryRequestBytes, in.Size.MaxMemoryBytes)
		}
		if next.MemoryRequestBytes != in.Size.MaxMemoryBytes {
			assert.GreaterOrEqual(t, 0.9*float64(next.MemoryRequestBytes), float64(in.Figures.PeakMemory()), "the peak is not within a tenth of the request")
		}
		if in.Size.Limits {
			assert.Equal(t, 2*next.MemoryRequestBytes, next.MemoryLimitBytes)
		} else {
			assert.Zero(t, next.MemoryLimitBytes)
		}
	})
}

func TestDailyWavesAndNoiseChangeAtMostOnceAWeek(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		changeAtMostOnceAWeek(t, dailyWaves{
			mean:  rapid.Float64Range(50_000, 5_000_000).Draw(t, "series"),
			wave:  rapid.Float64Range(0, 0.5).Draw(t, "wave"),
			phase: rapid.Float64Range(0, 2*math.Pi).Draw(t, "phase"),
		}, rapid.Int32Range(2, 64).Draw(t, "maxShards"), rapid.Float64Range(0.7, 1.4).Draw(t, "memory"), rapid.Uint64().Draw(t, "seed"))
	})
}

// A peak raises 18 shards to 25, and the next day needs 24.
func TestAPeakThatTheNextDayDoesNotReach(t *testing.T) {
	changeAtMostOnceAWeek(t, dailyWaves{mean: 3.255335e+06, wave: 0.2313519362244234}, 47, 1.1783158464813925, 0)
}

// dailyWaves are series that rise and fall once a day, by a part of the mean.
type dailyWaves struct{ mean, wave, phase float64 }

func (d dailyWaves) at(since time.Duration) float64 {
	return d.mean * (1 + d.wave*math.Sin(d.phase+2*math.Pi*since.Hours()/24))
}

// changeAtMostOnceAWeek does not count the first days: who starts at night knows nothing of the day.
func changeAtMostOnceAWeek(t require.TestingT, waves dailyWaves, maxShards int32, memory float64, seed uint64) {
	w := newWorld(waves.at)
	w.bounds.MaxShards, w.memory = maxShards, memory
	w.noise, w.uneven = 0.1, 0.03
	w.random = rand.New(rand.NewPCG(seed, 0))
	w.start()
	w.run(30*day, func(figures sizing.Figures) {
		require.Greater(t, w.running.MemoryRequestBytes, figures.PeakMemory(), "the request is above the measured peak")
	})
	last := time.Duration(0)
	for _, change := range w.changes {
		if change.at < 3*day {
			continue
		}
		if last > 0 {
			require.GreaterOrEqual(t, change.at-last, week, "%v: %+v", change.at, change)
		}
		last = change.at
	}
}

func TestGrowthOfTenTimesTakesAtMostFourReshards(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := rapid.Float64Range(20_000, 3_000_000).Draw(t, "series")
		takes := time.Duration(rapid.IntRange(1, 60).Draw(t, "days")) * day
		w := newWorld(func(at time.Duration) float64 {
			return first * math.Pow(10, min(1, at.Hours()/takes.Hours()))
		})
		w.start()
		w.run(takes+2*day, func(sizing.Figures) {})
		assert.LessOrEqual(t, len(w.reshards()), 4)
		for _, reshard := range w.reshards() {
			assert.Greater(t, reshard.to.Shards, reshard.from.Shards)
		}
		if w.running.Shards < w.bounds.MaxShards {
			assert.LessOrEqual(t, w.measure().LargestSeries(w.running.Shards), w.bounds.TargetSeries, "it followed")
		}
	})
}

// When a cluster shrinks at once, nothing is taken away before a day has passed, and all that is too much is after two.
func TestShrinkingWaitsADay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := rapid.Float64Range(500_000, 2_000_000).Draw(t, "before")
		after := rapid.Float64Range(10_000, 100_000).Draw(t, "after")
		shrinks := 2*day + time.Duration(rapid.IntRange(0, 1000).Draw(t, "minutes"))*time.Minute
		w := newWorld(func(at time.Duration) float64 {
			if at < shrinks {
				return before
			}
			return after
		})
		w.start()
		settled := w.running
		w.run(shrinks+day-interval, func(sizing.Figures) {})
		require.Equal(t, settled, w.running)
		w.run(shrinks+3*day, func(sizing.Figures) {})
		require.Len(t, w.reshards(), 1, "at once to the number that fits")
		assert.Equal(t, sizing.Shards(w.measure(), w.bounds), w.running.Shards)
		peak := float64(w.measure().PeakMemory())
		assert.Greater(t, float64(w.running.MemoryRequestBytes), 1.1*peak)
		assert.Less(t, float64(w.running.MemoryRequestBytes), 1.75*peak)
	})
}

// Whatever a measurement says, the request of a process that has run for a day is 1.1 to 1.75 times its memory.
func TestMemoryRequestFollowsMemory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := sizing.Input{
			Figures: measured(3, 100_000, rapid.Int64Range(32*mib, 30_000*mib).Draw(t, "memory")), Bounds: sizing.DefaultBounds(),
			Size: sizing.DefaultSizeBounds(), ShardCount: 3,
			Previous: sizing.Recommendation{Shards: 3, MemoryRequestBytes: rapid.Int64Range(32*mib, 30_000*mib).Draw(t, "request")},
		}
		var state sizing.State
		in.Previous, state = sizing.DefaultSettings().Recommend(in, state, time.Unix(0, 0))
		next, _ := sizing.DefaultSettings().Recommend(in, state, time.Unix(0, 0).Add(day))
		assert.Greater(t, float64(next.MemoryRequestBytes), 1.1*float64(in.Figures.PeakMemory()))
		assert.Less(t, float64(next.MemoryRequestBytes), 1.75*float64(in.Figures.PeakMemory()))
	})
}

func TestNothingChangesWhileBusy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(func(time.Duration) float64 { return 400_000 })
		w.start()
		w.run(day, func(sizing.Figures) {})
		state := w.state
		in := sizing.Input{Previous: w.running, Bounds: w.bounds, Size: w.size, ApplyShards: true, Busy: true}
		now := time.Unix(0, 0).Add(w.now)
		for range rapid.IntRange(1, 20).Draw(t, "readings") {
			in.Figures = drawFigures(t)
			in.Figures.Total = min(in.Figures.Total, w.running.Shards) // A smaller partition that does not run yet may need more memory.
			in.Figures.Shards = in.Figures.Shards[:in.Figures.Total]
			now = now.Add(time.Duration(rapid.IntRange(1, 10_000).Draw(t, "minutes")) * time.Minute)
			var next sizing.Recommendation
			next, state = w.settings.Recommend(in, state, now)
			require.Equal(t, w.running, next)
		}
		assert.Zero(t, state, "and times restart")
	})
}
