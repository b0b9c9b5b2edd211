package sizing_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/example/ksmscale/sizing"
)

// notCounted is the number of objects that could not be counted.
const notCounted = -1

// at is a time of a test.
func at(after time.Duration) time.Time { return time.Unix(1_000_000, 0).Add(after) }

// The rows of docs/sizing.md, whose processes ran one shard each.
func TestFormulaMatchesMeasuredProcesses(t *testing.T) {
	for _, row := range []struct {
		version          string
		cluster, shard   int64
		memory, loadMsec float64
	}{
		{"v2.20.0", 348_698, 348_698, 353, 1170}, {"v2.20.0", 348_698, 117_323, 168, 620}, {"v2.20.0", 348_698, 70_164, 122, 480},
		{"v2.20.0", 697_356, 697_356, 682, 2100}, {"v2.20.0", 697_356, 233_509, 291, 1260}, {"v2.20.0", 697_356, 140_462, 199, 1080},
		{"v2.18.0", 398_698, 398_698, 431, 1060}, {"v2.18.0", 398_698, 134_153, 346, 620}, {"v2.18.0", 398_698, 80_249, 317, 540},
		{"v2.18.0", 797_356, 797_356, 813, 2050}, {"v2.18.0", 797_356, 267_014, 612, 1150}, {"v2.18.0", 797_356, 160_657, 585, 1010},
	} {
		formula, ok := sizing.FormulaFor(row.version)
		require.True(t, ok)
		assert.InEpsilon(t, row.memory, float64(formula.Memory(row.shard, row.cluster))/mib, 0.08, "memory: %+v", row)
		assert.InEpsilon(t, row.loadMsec, 1000*formula.LoadSeconds(row.shard, row.cluster), 0.30, "CPU to load: %+v", row)
	}
	_, ok := sizing.FormulaFor("v2.10.1")
	assert.False(t, ok, "this version was not measured")
}

func TestEstimateMatchesMeasuredClusters(t *testing.T) {
	for nodes, row := range map[int64]struct{ pods, series int64 }{67: {2000, 69_756}, 334: {10_000, 348_698}, 667: {20_000, 697_356}} {
		estimate := sizing.EstimateOf(map[string]int64{"pods": row.pods, "nodes": nodes, "leases": nodes, "namespaces": 4})
		assert.InEpsilon(t, row.series, estimate.Series, 0.01)
		assert.InEpsilon(t, 168*row.series, estimate.ExpositionBytes, 0.05)
	}
}

func TestEstimateOfWhatCannotBeCounted(t *testing.T) {
	counted := sizing.EstimateOf(map[string]int64{"configmaps": 100, "secrets": 100})
	assert.Equal(t, counted, sizing.EstimateOf(map[string]int64{"configmaps": 100, "secrets": notCounted}), "as many Secrets as ConfigMaps")
	estimate := sizing.EstimateOf(map[string]int64{"secrets": notCounted, "pods": 10, "nodes": notCounted, "configmaps": notCounted})
	assert.Equal(t, int64(340), estimate.Series)
	assert.Equal(t, []string{"configmaps", "nodes", "secrets"}, estimate.Uncounted)
	assert.Equal(t, int64(70), sizing.EstimateOf(map[string]int64{"widgets": 7}).Series, "an unknown resource has a default")
}

func TestShards(t *testing.T) {
	for name, test := range map[string]struct {
		figures sizing.Figures
		bytes   int64
		shards  int32
	}{
		"small":                 {measured(1, 50_000, 0), 0, 2},
		"a quarter to spare":    {measured(2, 3*187_500/2, 0), 0, 3},
		"just over a quarter":   {measured(2, 3*187_500/2+1, 0), 0, 4},
		"bytes decide":          {measured(2, 187_500, 0), 16 << 20, 6},
		"series decide":         {measured(4, 187_500, 0), 64 << 20, 4},
		"at most":               {measured(10, 700_000, 0), 0, 10},
		"nothing known, lowest": {sizing.Figures{}, 0, 2},
		"estimated":             {sizing.Figures{Estimate: &sizing.Estimate{Series: 700_000}}, 0, 4},
	} {
		t.Run(name, func(t *testing.T) {
			bounds := sizing.DefaultBounds()
			bounds.TargetBytes = test.bytes
			assert.Equal(t, test.shards, sizing.Shards(test.figures, bounds))
		})
	}
}

func TestShardsOfAnUnevenPartitionFollowTheLargest(t *testing.T) {
	figures := measured(4, 100_000, 0)
	figures.Shards[2].Series = 250_000
	assert.Equal(t, int32(6), sizing.Shards(figures, sizing.DefaultBounds()))
}

// next calls Next at minutes since the start, and returns the numbers.
func next(figures func(minute int) sizing.Figures, current int32, minutes ...int) (numbers []int32) {
	var state sizing.ShardCount
	for _, minute := range minutes {
		current, state = sizing.DefaultSettings().Next(state, current, figures(minute), sizing.DefaultBounds(), at(time.Duration(minute)*time.Minute))
		numbers = append(numbers, current)
	}
	return numbers
}

func TestNextRisesAfterTenMinutesOverTheTarget(t *testing.T) {
	over := func(int) sizing.Figures { return measured(3, 250_001, 0) }
	assert.Equal(t, []int32{3, 3, 3, 5}, next(over, 3, 0, 5, 9, 10), "to the lowest number with a quarter to spare")

	below := func(int) sizing.Figures { return measured(3, 250_000, 0) }
	assert.Equal(t, []int32{3, 3, 3}, next(below, 3, 0, 60, 6000), "less than a quarter to spare is enough for one that runs")

	dips := func(minute int) sizing.Figures {
		if minute == 5 {
			return measured(3, 240_000, 0)
		}
		return measured(3, 260_000, 0)
	}
	assert.Equal(t, []int32{3, 3, 3, 3, 5}, next(dips, 3, 0, 5, 10, 15, 20), "ten minutes without a break")

	missing := func(minute int) sizing.Figures {
		figures := measured(3, 260_000, 0)
		figures.Shards[1].Known = minute != 5
		return figures
	}
	assert.Equal(t, []int32{3, 3, 3, 3, 5}, next(missing, 3, 0, 5, 10, 15, 20), "a time without figures does not count")
}

func TestNextFallsAfterADay(t *testing.T) {
	const hour = 60
	// Nine shards of 100,000 fit in 5; for one hour they need 7.
	figures := func(minute int) sizing.Figures {
		if minute == 5*hour {
			return measured(9, 145_000, 0)
		}
		return measured(9, 100_000, 0)
	}
	assert.Equal(t, []int32{9, 9, 9, 7, 7}, next(figures, 9, 0, 5*hour, 23*hour, 24*hour, 25*hour), "to the highest number that was needed")

	busy := func(minute int) sizing.Figures {
		if minute == 5*hour {
			return measured(9, 187_500, 0)
		}
		return measured(9, 100_000, 0)
	}
	assert.Equal(t, []int32{9, 9, 9, 9, 5}, next(busy, 9, 0, 5*hour, 6*hour, 24*hour, 30*hour), "a day without a break")
}

func TestNextKeepsWhatOnePeakHasRaised(t *testing.T) {
	const hour = 60
	figures := func(afterwards int64) func(int) sizing.Figures {
		return func(minute int) sizing.Figures {
			if minute <= 10 {
				return measured(3, 250_001, 0)
			}
			return measured(5, afterwards, 0)
		}
	}
	// Four shards have 187,500 series each for 5 x 150,000, and room for a tenth more for 5 x 136,000.
	minutes := []int{0, 10, 11, 11 + 24*hour, 10 + 7*24*hour, 10 + 8*24*hour}
	assert.Equal(t, []int32{3, 5, 5, 5, 5, 4}, next(figures(150_000), 3, minutes...), "for a week")
	assert.Equal(t, []int32{3, 5, 5, 4, 4, 4}, next(figures(136_000), 3, minutes...), "unless it is a tenth too much")
}

func TestNextWithoutFigures(t *testing.T) {
	none := func(int) sizing.Figures { return sizing.Figures{} }
	assert.Equal(t, []int32{0}, next(none, 0, 0), "nothing to begin with")
	assert.Equal(t, []int32{5, 5}, next(none, 5, 0, 60), "and nothing changes")
	assert.Equal(t, []int32{10}, next(none, 20, 0), "but what the user bounds")

	estimated := func(int) sizing.Figures {
		return sizing.Figures{Estimate: &sizing.Estimate{Series: 1_000_000}}
	}
	assert.Equal(t, []int32{6}, next(estimated, 0, 0))
	assert.Equal(t, []int32{3, 3}, next(estimated, 3, 0, 60), "an estimate is for the first number only")
}

func TestNextIsNotConfusedByAClockThatGoesBack(t *testing.T) {
	over := func(int) sizing.Figures { return measured(3, 260_000, 0) }
	assert.Equal(t, []int32{3, 3, 5}, next(over, 3, 100, 0, 10))
}

// recommended is the first recommendation.
func recommended(in sizing.Input) sizing.Recommendation {
	if in.Bounds == (sizing.Bounds{}) {
		in.Bounds = sizing.DefaultBounds()
	}
	if in.Size == (sizing.SizeBounds{}) {
		in.Size = sizing.DefaultSizeBounds()
	}
	next, _ := sizing.DefaultSettings().Recommend(in, sizing.State{}, at(0))
	return next
}

func TestRecommendBeforeAnythingRuns(t *testing.T) {
	estimate := sizing.EstimateOf(map[string]int64{"pods": 24_000, "nodes": 800, "leases": 800, "secrets": notCounted, "configmaps": 400, "jobs": notCounted})
	next := recommended(sizing.Input{Figures: sizing.Figures{Version: "v2.20.0", Estimate: &estimate}, Nodes: 800, CalculatedReplicas: 54})
	assert.Equal(t, sizing.Recommendation{
		Shards: 5, ReplicasPerShard: 2, MemoryRequestBytes: 299 * mib, MemoryLimitBytes: 598 * mib, MilliCPURequest: 100,
		Basis:         "estimated from counts of objects: 840000 series, without jobs",
		ReplicaAdvice: "54 calculated from 800 nodes; 2 per shard are enough for availability (maxReplicasPerShard)",
	}, next)
	assert.Equal(t, "299Mi", new(next.MemoryRequest()).String())
	assert.Equal(t, "598Mi", new(next.MemoryLimit()).String())
	assert.Equal(t, "100m", new(next.CPURequest()).String())
}

func TestRecommendationNamesSomeOfManyUncountedResources(t *testing.T) {
	counts := map[string]int64{"pods": 1000}
	for _, resource := range []string{"services", "jobs", "leases", "ingresses", "deployments"} {
		counts[resource] = notCounted
	}
	estimate := sizing.EstimateOf(counts)
	next := recommended(sizing.Input{Figures: sizing.Figures{Version: "v2.20.0", Estimate: &estimate}})
	assert.Contains(t, next.Basis, " series, without deployments, ingresses, jobs and 2 other resources")
}

func TestRecommendFromMeasurements(t *testing.T) {
	figures := measured(3, 150_000, 200*mib)
	figures.Shards[1].CPUCores = 0.4
	next := recommended(sizing.Input{Figures: figures, Nodes: 60, CalculatedReplicas: 4})
	assert.Equal(t, sizing.Recommendation{
		Shards: 3, ReplicasPerShard: 2, MemoryRequestBytes: 299 * mib, MemoryLimitBytes: 598 * mib, MilliCPURequest: 556,
		Basis: "measured: 450000 series in 3 shards, the largest 150000 series and a scrape of 25.5 MB, at most 200 MiB of memory",
	}, next)
}

func TestRecommendNothingWithoutFigures(t *testing.T) {
	assert.Zero(t, recommended(sizing.Input{Nodes: 800, CalculatedReplicas: 54}))
	assert.Zero(t, recommended(sizing.Input{Figures: measured(3, 1000, 0), Busy: true}), "a first one can wait")
}

func TestRecommendForAVersionWithoutFormula(t *testing.T) {
	figures := measured(3, 150_000, 0)
	figures.Version = "v2.21.0"
	assert.Zero(t, recommended(sizing.Input{Figures: figures}).MemoryRequestBytes, "unknown until it is measured")
	assert.Equal(t, int32(3), recommended(sizing.Input{Figures: figures}).Shards)
	figures.Shards[0].PeakMemoryBytes, figures.Shards[1].PeakMemoryBytes, figures.Shards[2].PeakMemoryBytes = 100*mib, 120*mib, 110*mib
	assert.Equal(t, int64(153*mib), recommended(sizing.Input{Figures: figures}).MemoryRequestBytes)
}

func TestTextsChangeWithAStepOnly(t *testing.T) {
	settings, in := sizing.DefaultSettings(), sizing.Input{
		Figures: measured(3, 150_000, 200*mib), Bounds: sizing.DefaultBounds(), Size: sizing.DefaultSizeBounds(), Nodes: 800, CalculatedReplicas: 54,
	}
	first, state := settings.Recommend(in, sizing.State{}, at(0))
	in.Previous, in.Figures, in.Nodes, in.CalculatedReplicas = first, measured(3, 151_000, 201*mib), 815, 55
	again, state := settings.Recommend(in, state, at(time.Hour))
	assert.Equal(t, first, again)
	in.Figures = measured(3, 240_000, 290*mib)
	larger, state := settings.Recommend(in, state, at(time.Hour))
	assert.Equal(t, int64(373*mib), larger.MemoryRequestBytes)
	assert.Contains(t, larger.Basis, "720000 series")
	assert.Contains(t, larger.ReplicaAdvice, "55 calculated from 815 nodes")
	in.Previous, in.CalculatedReplicas = larger, 6
	stays, _ := settings.Recommend(in, state, at(2*time.Hour))
	assert.Equal(t, larger, stays, "a few nodes less do not change the advice")
	in.CalculatedReplicas = 5
	fewer, _ := settings.Recommend(in, state, at(2*time.Hour))
	assert.Empty(t, fewer.ReplicaAdvice)
	in.CalculatedReplicas, in.MaxReplicasPerShard = 55, 2
	bounded, _ := settings.Recommend(in, state, at(2*time.Hour))
	assert.Empty(t, bounded.ReplicaAdvice, "the maximum is what it advises")
}

func TestReplicaAdviceIsForTheShardsThatRun(t *testing.T) {
	in := sizing.Input{Figures: measured(3, 1000, 60*mib), Bounds: sizing.Bounds{MinShards: 1, MaxShards: 10, TargetSeries: 250_000}, ShardCount: 3, Nodes: 45, CalculatedReplicas: 3}
	next := recommended(in)
	assert.EqualValues(t, 1, next.Shards)
	assert.Empty(t, next.ReplicaAdvice, "each shard has one replica")
}

// The first pods of two thirds of a million series in one process would be killed with the memory of a quarter of them.
func TestPodsAreSizedForTheNumberThatRuns(t *testing.T) {
	estimate := sizing.EstimateOf(map[string]int64{"pods": 20_000, "nodes": 667})
	in := sizing.Input{Figures: sizing.Figures{Version: "v2.20.0", Estimate: &estimate}}
	memory := map[int32]int64{}
	for _, count := range []int32{1, 4, 10} {
		in.ShardCount = count
		next := recommended(in)
		assert.EqualValues(t, 4, next.Shards)
		memory[count] = next.MemoryRequestBytes
		formula, _ := sizing.FormulaFor("v2.20.0")
		expected := formula.Memory(estimate.Series/int64(count), estimate.Series)
		assert.InDelta(t, 1.4*float64(expected), float64(next.MemoryRequestBytes), 0.2*float64(expected))
	}
	assert.Greater(t, memory[1], memory[4])
	assert.Greater(t, memory[4], memory[10])
}

// With fewer shards by the user, also in the middle of a rollout, the first pods of the larger shards have the memory.
func TestFewerShardsByTheUserHaveMoreMemory(t *testing.T) {
	for _, busy := range []bool{false, true} {
		in := sizing.Input{
			Figures: measured(10, 500_000, 525*mib), Bounds: sizing.DefaultBounds(), Size: sizing.DefaultSizeBounds(), ShardCount: 3, Busy: busy,
			Previous: sizing.Recommendation{Shards: 10, MemoryRequestBytes: 728 * mib, MilliCPURequest: 500},
		}
		next, state := sizing.DefaultSettings().Recommend(in, sizing.State{}, at(0))
		formula, _ := sizing.FormulaFor("v2.20.0")
		assert.Greater(t, next.MemoryRequestBytes, formula.Memory(5_000_000/3, 5_000_000), "busy: %t", busy)
		in.Previous = next
		again, _ := sizing.DefaultSettings().Recommend(in, state, at(time.Minute))
		assert.Equal(t, next, again)
	}
}

// An autoscaler changes replicas more often than once a day.
func TestAChangeOfReplicasRestartsNoTime(t *testing.T) {
	settings, in := sizing.DefaultSettings(), sizing.Input{
		Figures: measured(2, 300_000, 300*mib), Bounds: sizing.DefaultBounds(), Size: sizing.DefaultSizeBounds(), ApplyShards: true,
		Previous: sizing.Recommendation{Shards: 2, ReplicasPerShard: 2, MemoryRequestBytes: 455 * mib, MemoryLimitBytes: 910 * mib, MilliCPURequest: 500},
	}
	_, state := settings.Recommend(in, sizing.State{}, at(0))
	require.NotZero(t, state)
	in.Unobserved = true
	next, same := settings.Recommend(in, state, at(5*time.Minute))
	assert.Equal(t, in.Previous, next)
	assert.Equal(t, state, same)
	next, _ = settings.Recommend(in, state, at(settings.RiseAfter))
	assert.Equal(t, in.Previous, next, "nothing changes before the change of replicas is observed")
	bounded, killed := in, in
	bounded.Bounds.MinShards = 3
	next, _ = settings.Recommend(bounded, state, at(5*time.Minute))
	assert.EqualValues(t, 3, next.Shards, "a changed bound counts, because a change may never be observed")
	killed.Figures.KilledRequestBytes = 455 * mib
	next, after := settings.Recommend(killed, state, at(5*time.Minute))
	assert.Greater(t, next.MemoryRequestBytes, int64(455*mib))
	assert.Equal(t, at(5*time.Minute), after.KilledAt)
	in.Unobserved = false
	next, _ = settings.Recommend(in, state, at(settings.RiseAfter))
	assert.EqualValues(t, 4, next.Shards)
}

// kill is a KSMScale whose processes take 100 MiB and request 200.
func kill(size sizing.SizeBounds, killed int64) (sizing.Input, sizing.Recommendation, sizing.State) {
	in := sizing.Input{
		Figures: measured(2, 50_000, 140*mib), Bounds: sizing.DefaultBounds(), Size: size,
		Previous: sizing.Recommendation{Shards: 2, ReplicasPerShard: 2, MemoryRequestBytes: 191 * mib, MemoryLimitBytes: 382 * mib, MilliCPURequest: 100},
	}
	in.Figures.KilledRequestBytes = killed
	next, state := sizing.DefaultSettings().Recommend(in, sizing.State{}, at(0))
	return in, next, state
}

func TestAKillForMemoryTakesTheNextStepAtOnce(t *testing.T) {
	_, next, _ := kill(sizing.DefaultSizeBounds(), 191*mib)
	assert.Equal(t, int64(239*mib), next.MemoryRequestBytes)
	assert.Equal(t, int64(478*mib), next.MemoryLimitBytes)

	_, next, _ = kill(sizing.DefaultSizeBounds(), 153*mib)
	assert.Equal(t, int64(191*mib), next.MemoryRequestBytes, "one that had less than is recommended already needs no further step")

	bounded := sizing.DefaultSizeBounds()
	bounded.MaxMemoryBytes = 200 * mib
	_, next, _ = kill(bounded, 191*mib)
	assert.Equal(t, int64(200*mib), next.MemoryRequestBytes, "at most the maximum")
}

// spec.resources has more than is recommended.
func TestAKillForMemoryExceedsWhatWasRequested(t *testing.T) {
	_, next, _ := kill(sizing.DefaultSizeBounds(), 1024*mib)
	assert.Greater(t, next.MemoryRequestBytes, int64(1024*mib))
}

func TestAKillForMemoryOverridesWaits(t *testing.T) {
	in, _, _ := kill(sizing.DefaultSizeBounds(), 191*mib)
	in.Busy = true
	next, _ := sizing.DefaultSettings().Recommend(in, sizing.State{}, at(0))
	assert.Equal(t, int64(239*mib), next.MemoryRequestBytes)
	assert.Equal(t, in.Previous.Shards, next.Shards)
}

func TestMemoryDoesNotFallSoonAfterAKill(t *testing.T) {
	in, next, state := kill(sizing.DefaultSizeBounds(), 191*mib)
	in.Previous, in.Figures = next, measured(2, 50_000, 60*mib)
	hold := func(until time.Duration) {
		for after := time.Hour; after < until; after += time.Hour {
			in.Previous, state = sizing.DefaultSettings().Recommend(in, state, at(after))
		}
	}
	hold(week)
	assert.Equal(t, int64(239*mib), in.Previous.MemoryRequestBytes)
	hold(week + 2*day)
	assert.Equal(t, int64(79*mib), in.Previous.MemoryRequestBytes)
}

// Fewer shards are larger, and their pods have the memory for it from the start.
func TestFewerShardsHaveMoreMemory(t *testing.T) {
	for version, memory := range map[string]int64{"v2.20.0": 373, "v2.21.0": 583} {
		figures := measured(6, 100_000, 250*mib)
		figures.Version = version
		in := sizing.Input{
			Figures: figures, Bounds: sizing.DefaultBounds(), Size: sizing.DefaultSizeBounds(), ApplyShards: true,
			Previous: sizing.Recommendation{Shards: 6, MemoryRequestBytes: 299 * mib, MilliCPURequest: 100},
		}
		settings := sizing.DefaultSettings()
		next, state := settings.Recommend(in, sizing.State{}, at(0))
		assert.Equal(t, int64(299*mib), next.MemoryRequestBytes)
		next, _ = settings.Recommend(in, state, at(day))
		assert.Equal(t, int32(4), next.Shards)
		assert.Equal(t, memory*mib, next.MemoryRequestBytes, version)

		in.ApplyShards, in.ShardCount = false, 6
		next, _ = settings.Recommend(in, state, at(day))
		assert.Equal(t, int32(4), next.Shards)
		assert.Equal(t, int64(299*mib), next.MemoryRequestBytes, "what is only recommended needs no memory")
	}
}

// More shards are smaller, but the old ones run until the new ones do.
func TestMemoryDoesNotFallWithARise(t *testing.T) {
	in := sizing.Input{
		Figures: measured(2, 400_000, 150*mib), Bounds: sizing.DefaultBounds(), Size: sizing.DefaultSizeBounds(), ApplyShards: true,
		Previous: sizing.Recommendation{Shards: 2, MemoryRequestBytes: 583 * mib, MilliCPURequest: 100},
	}
	settings := sizing.DefaultSettings()
	settings.ShrinkAfter, settings.RiseAfter = 0, 0
	next, _ := settings.Recommend(in, sizing.State{}, at(0))
	assert.Equal(t, int32(5), next.Shards)
	assert.Equal(t, in.Previous.MemoryRequestBytes, next.MemoryRequestBytes)
}

func TestCPURisesAfterAnHour(t *testing.T) {
	in := sizing.Input{
		Figures: measured(2, 50_000, 140*mib), Bounds: sizing.DefaultBounds(), Size: sizing.DefaultSizeBounds(),
		Previous: sizing.Recommendation{Shards: 2, MemoryRequestBytes: 191 * mib, MilliCPURequest: 100},
	}
	settings := sizing.DefaultSettings()
	var state sizing.State
	use := func(after time.Duration, cores float64) int64 {
		in.Figures.Shards[0].CPUCores = cores
		in.Previous, state = settings.Recommend(in, state, at(after))
		return in.Previous.MilliCPURequest
	}
	assert.Equal(t, int64(100), use(0, 0.9))
	assert.Equal(t, int64(100), use(10*time.Minute, 0.02), "loading is over soon")
	assert.Equal(t, int64(100), use(20*time.Minute, 0.9))
	assert.Equal(t, int64(100), use(70*time.Minute, 0.2))
	assert.Equal(t, int64(285), use(80*time.Minute, 0.9), "to what was used all the time")
	assert.Equal(t, int64(285), use(2*time.Hour, 0.02))
	assert.Equal(t, int64(285), use(25*time.Hour, 0.02))
	assert.Equal(t, int64(100), use(26*time.Hour, 0.02), "and it falls after a day, to the least")
}

// 111 MiB need 153 with their headroom; 191 is one step more, and 239 are two.
func TestMemoryFallsByTwoStepsAtLeast(t *testing.T) {
	settings, in := sizing.DefaultSettings(), sizing.Input{Bounds: sizing.DefaultBounds(), Size: sizing.DefaultSizeBounds()}
	var state sizing.State
	use := func(request, memory int64, after time.Duration) int64 {
		in.Figures = measured(2, 50_000, memory*mib)
		in.Previous = sizing.Recommendation{Shards: 2, ReplicasPerShard: 2, MemoryRequestBytes: request * mib, MilliCPURequest: 100}
		var next sizing.Recommendation
		next, state = settings.Recommend(in, state, at(after))
		return next.MemoryRequestBytes / mib
	}
	use(191, 111, 0)
	assert.Equal(t, int64(191), use(191, 111, 2*day), "less than two steps above 111 / 0.9")
	use(239, 111, 3*day)
	use(239, 125, 3*day+time.Hour)
	assert.Equal(t, int64(191), use(239, 111, 4*day), "to the most that was needed")
}

// It begins the time in which the number does not follow single peaks, as any other reshard.
func TestTheFirstNumberOfRunningShardsIsAReshard(t *testing.T) {
	settings := sizing.DefaultSettings()
	settings.ShrinkAfter = 0
	in := sizing.Input{
		Previous: sizing.Recommendation{MemoryRequestBytes: 900 << 20, MilliCPURequest: 900}, Figures: measured(3, 270_000, 100<<20),
		Bounds: sizing.DefaultBounds(), Size: sizing.DefaultSizeBounds(), ApplyShards: true,
	}
	next, state := settings.Recommend(in, sizing.State{}, at(0))
	assert.EqualValues(t, 5, next.Shards)
	assert.Equal(t, at(0), state.Shards.ChangedAt)
	assert.EqualValues(t, 900<<20, next.MemoryRequestBytes, "no request falls together with the number")
	assert.EqualValues(t, 900, next.MilliCPURequest)

	in.Figures = sizing.Figures{Version: "v2.20.0", Estimate: &sizing.Estimate{Series: 800_000}}
	next, state = settings.Recommend(in, sizing.State{}, at(0))
	assert.EqualValues(t, 5, next.Shards)
	assert.Zero(t, state.Shards.ChangedAt, "nothing runs")
}
