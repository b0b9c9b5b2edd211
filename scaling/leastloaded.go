package scaling

import (
	"slices"
	"sort"
)

// leastLoaded divides desired replicas by the weights of the shards. Each shard has at least lower replicas, and each
// further one goes to the shard that would have the highest load per replica with it, weight/(replicas+1), unless it has
// upper; to the first of several alike. That is how D'Hondt's method gives seats to parties. More replicas never take one
// away from any shard, and weights that are all the same give what roundRobin gives.
func leastLoaded(desired int64, weights []int32, lower, upper int32) []int32 {
	lower = min(lower, upper)
	replicas := someOf(desired, weights, lower, upper)
	for given := sum(replicas); given < desired; given++ {
		next := -1
		for id := range replicas {
			if replicas[id] < upper && (next < 0 || heavier(weights, replicas, id, next)) {
				next = id
			}
		}
		if next < 0 {
			break
		}
		replicas[next]++
	}
	return replicas
}

// heavier compares the loads per replica of two shards, as they would be with one more.
func heavier(weights, replicas []int32, a, b int) bool {
	return int64(weights[a])*(int64(replicas[b])+1) > int64(weights[b])*(int64(replicas[a])+1)
}

// someOf are as many of the desired replicas as can be told without giving them out one by one: those with which the load
// per replica is still total/steps, for the most steps for which these are not too many. Fewer are left than there are
// shards.
func someOf(desired int64, weights []int32, lower, upper int32) []int32 {
	total := sum(weights)
	after := func(steps int64) []int32 {
		replicas := make([]int32, len(weights))
		for id, weight := range weights {
			replicas[id] = int32(min(max(int64(weight)*steps/total, int64(lower)), int64(upper)))
		}
		return replicas
	}
	// With more, no shard that may have more would be left.
	most := int64(upper) * total / int64(slices.Min(weights))
	steps := sort.Search(int(most), func(steps int) bool { return sum(after(int64(steps)+1)) > desired })
	return after(int64(steps))
}

func sum(numbers []int32) int64 {
	var sum int64
	for _, number := range numbers {
		sum += int64(number)
	}
	return sum
}
