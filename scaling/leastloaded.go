package scaling

import (
	"slices"
	"sort"
)

// leastLoaded divides the desired replicas by the weights of the shards. Each shard has at least lower replicas. Each
// further replica goes to the shard that would then have the highest load per replica, weight/(replicas+1), unless it has
// upper replicas. Of equal shards, the first gets it. D'Hondt's method gives seats to parties in the same way. A higher
// number of replicas never takes one from a shard. Equal weights give the same result as roundRobin.
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

// heavier compares the loads per replica of two shards, each with one more replica.
func heavier(weights, replicas []int32, a, b int) bool {
	return int64(weights[a])*(int64(replicas[b])+1) > int64(weights[b])*(int64(replicas[a])+1)
}

// someOf returns as many of the desired replicas as can be computed together. The load per replica of each shard is then
// still total/steps, for the highest number of steps that does not exceed the desired replicas. Fewer replicas than shards
// are left.
func someOf(desired int64, weights []int32, lower, upper int32) []int32 {
	total := sum(weights)
	after := func(steps int64) []int32 {
		replicas := make([]int32, len(weights))
		for id, weight := range weights {
			replicas[id] = int32(min(max(int64(weight)*steps/total, int64(lower)), int64(upper)))
		}
		return replicas
	}
	// With more steps, every shard would have upper replicas.
	most := int64(upper) * total / int64(slices.Min(weights))
	steps := sort.Search(int(most), func(steps int) bool { return sum(after(int64(steps)+1)) > desired })
	return after(int64(steps))
}

func sum(numbers []int32) int64 {
	var total int64
	for _, number := range numbers {
		total += int64(number)
	}
	return total
}
