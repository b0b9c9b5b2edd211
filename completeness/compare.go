package completeness

import (
	"math"
	"slices"
)

// sum has the counts of one resource in one round.
type sum struct {
	// smallest and largest are the fewest and the most objects of the cluster that a gate counted.
	smallest, largest int64
	// exposed and foreign have the counts of each shard.
	exposed, foreign []int64
}

func (s sum) total() int64 {
	total := int64(0)
	for _, exposed := range s.exposed {
		total += exposed
	}
	return total
}

// compare returns what is missing in each of the last rounds.
//
// kube-state-metrics exposes what the cluster had a moment ago. So objects are missing only below the smallest count of the
// round and of the round before: a growing cluster had fewer objects a moment ago. Within a round, the counts differ by the
// objects that come and go. The largest such difference of the rounds bounds how much the cluster may have changed between
// a count and what kube-state-metrics exposes, so it does not count as missing.
func compare(sums []sum) Missing {
	from := len(sums) - Rounds
	changing := int64(0)
	for _, s := range sums[max(0, from-1):] {
		changing = max(changing, s.largest-s.smallest)
	}
	missing, foreign := int64(math.MaxInt64), slices.Clone(sums[from].foreign)
	for i := from; i < len(sums); i++ {
		smallest := sums[i].smallest
		if i > 0 {
			smallest = min(smallest, sums[i-1].smallest)
		}
		missing = min(missing, smallest-sums[i].total()-changing)
		for shard, count := range sums[i].foreign {
			foreign[shard] = min(foreign[shard], count)
		}
	}
	result := Missing{Objects: max(missing, 0)}
	for shard, count := range foreign {
		if count > 0 {
			result.Foreign += count
			result.ForeignShards = append(result.ForeignShards, int32(shard))
		}
	}
	if result.Objects > 0 {
		result.Shards = losers(sums[len(sums)-1])
	}
	return result
}

// improbable is how many standard deviations below its expected part a shard has lost objects. A shard without a loss is
// that far below once in a billion rounds.
const improbable = 6

// losers are the shards that expose fewer objects than any hash gives them. Each object is in one of T shards with the
// same probability, so a shard of N objects has about N/T.
func losers(s sum) []int32 {
	shards := len(s.exposed)
	if shards == 1 {
		return []int32{0}
	}
	part := 1 / float64(shards)
	expected := float64(s.smallest) * part
	deviation := math.Sqrt(float64(s.smallest) * part * (1 - part))
	var lost []int32
	for shard, exposed := range s.exposed {
		if float64(exposed) < expected-improbable*deviation {
			lost = append(lost, int32(shard))
		}
	}
	return lost
}
