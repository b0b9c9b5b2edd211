package completeness

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/example/ksmscale/measurements"
)

// unexposed is why a gate cannot compare a resource of which its shard exposes no object.
var unexposed = map[string]string{"storageclasses": measurements.UncountedUnexposed}

// A resource with few objects has none in most shards.
func TestShardsWithoutObjectsOfAResource(t *testing.T) {
	type counted struct {
		exposed   int64
		uncounted map[string]string
	}
	unidentified := map[string]string{"storageclasses": measurements.UncountedUnidentified}
	tests := map[string]struct {
		shards []counted
		// last is what the gates count in one more round.
		last        []counted
		missing     map[string]Missing
		notCompared map[string]string
	}{
		"one object in one of three shards": {
			shards:  []counted{{0, unexposed}, {1, nil}, {0, unexposed}},
			missing: map[string]Missing{"storageclasses": {}}, notCompared: map[string]string{},
		},
		"a shard lost the object that it had": {
			shards:  []counted{{0, unexposed}, {0, nil}, {0, unexposed}},
			missing: map[string]Missing{"storageclasses": {Objects: 1}}, notCompared: map[string]string{},
		},
		"no shard exposes an object: the version may not have the metric": {
			shards:  []counted{{0, unexposed}, {0, unexposed}, {0, unexposed}},
			missing: map[string]Missing{}, notCompared: unexposed,
		},
		"the gate of the shard that had the object has started again, and the object is lost": {
			shards:  []counted{{0, unexposed}, {0, nil}, {0, unexposed}},
			last:    []counted{{0, unexposed}, {0, unexposed}, {0, unexposed}},
			missing: map[string]Missing{"storageclasses": {Objects: 1}}, notCompared: map[string]string{},
		},
		"a version without the metric": {
			shards:  []counted{{0, unexposed}, {1, unidentified}, {0, unexposed}},
			missing: map[string]Missing{}, notCompared: unidentified,
		},
		"one shard may not list": {
			shards:  []counted{{0, unexposed}, {1, nil}, {0, map[string]string{"storageclasses": measurements.UncountedForbidden}}},
			missing: map[string]Missing{}, notCompared: map[string]string{"storageclasses": measurements.UncountedForbidden},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var partition Partition
			now := start
			rounds := [][]counted{test.shards, test.shards, test.shards}
			if test.last != nil {
				rounds = append(rounds, test.last)
			}
			for _, shards := range rounds {
				now = now.Add(time.Minute)
				var readings []Reading
				for id, shard := range shards {
					readings = append(readings, Reading{Pod: fmt.Sprint(id), Shard: int32(id), Counts: measurements.Counts{
						RoundAt: now, Interval: time.Minute, Uncounted: shard.uncounted,
						Resources: map[string]measurements.Count{"storageclasses": {Before: 1, After: 1, Exposed: shard.exposed}},
					}})
				}
				partition.Add(int32(len(test.shards)), readings, now)
			}
			result := partition.Result(now)
			assert.Equal(t, test.missing, result.Resources)
			assert.Equal(t, test.notCompared, result.NotCompared)
			assert.True(t, result.Known)
		})
	}
}

// The only gate of a shard has a clock that is hours ahead. Its rounds neither count nor displace those of the present.
func TestAGateWhoseClockIsAhead(t *testing.T) {
	var partition Partition
	now := start
	add := func(ahead time.Duration) {
		now = now.Add(time.Minute)
		var readings []Reading
		for id, off := range []time.Duration{0, ahead} {
			readings = append(readings, Reading{Pod: fmt.Sprint(id), Shard: int32(id), Counts: measurements.Counts{
				RoundAt: now.Add(off), Interval: time.Minute, Resources: map[string]measurements.Count{"pods": {Before: 2, After: 2, Exposed: 1}},
			}})
		}
		partition.Add(2, readings, now)
	}
	for range 2 * keptRounds {
		add(6 * time.Hour)
	}
	assert.False(t, partition.Result(now).Known)
	for range Rounds + 1 {
		add(0)
	}
	assert.True(t, partition.Result(now).Known, "as soon as the clock is right again")
}

// The gate of one shard stays silent. Meanwhile the other one adds an incomplete round each minute.
func TestASilentGate(t *testing.T) {
	var partition Partition
	for minute := range time.Duration(20) {
		now := start.Add(minute * time.Minute)
		shards := 2
		if minute > 8 {
			shards = 1
		}
		var readings []Reading
		for id := range shards {
			readings = append(readings, Reading{Pod: fmt.Sprint(id), Shard: int32(id), Counts: measurements.Counts{
				RoundAt: now, Interval: time.Minute, Resources: map[string]measurements.Count{"pods": {Before: 2, After: 2, Exposed: 1}},
			}})
		}
		partition.Add(2, readings, now)
		assert.Equal(t, minute >= Rounds-1 && minute <= 18, partition.Result(now).Known, "after %d minutes", minute)
	}
}

// A gate can report any time, so neither times nor intervals bound the number of rounds.
func TestRoundsAreBounded(t *testing.T) {
	var partition Partition
	for minute := range time.Duration(100) {
		now := start.Add(minute * time.Minute)
		partition.Add(1, []Reading{{Counts: measurements.Counts{RoundAt: now, Interval: 24 * time.Hour}}}, now)
	}
	assert.Len(t, partition.rounds, keptRounds)
}

// An older version of kube-state-metrics may not have the metric, and then the objects that it lacks are not missing for long.
func TestWhatWasExposedIsForgotten(t *testing.T) {
	var partition Partition
	for minute := range time.Duration(2 * keptRounds) {
		now := start.Add(minute * time.Minute)
		counts := measurements.Counts{RoundAt: now, Interval: time.Minute, Resources: map[string]measurements.Count{"storageclasses": {Before: 1, After: 1, Exposed: 1}}}
		if minute >= keptRounds {
			counts.Resources, counts.Uncounted = map[string]measurements.Count{"storageclasses": {Before: 1, After: 1}}, unexposed
		}
		partition.Add(1, []Reading{{Counts: counts}}, now)
		if minute >= Rounds {
			assert.Equal(t, minute >= keptRounds+comparedRounds-1, len(partition.Result(now).NotCompared) > 0, "after %d minutes", minute)
		}
	}
}
