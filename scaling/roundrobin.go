package scaling

// roundRobin divides the desired replicas among the shards one after the other. They differ by at most one, and the first
// shards have the larger number.
func roundRobin(desired int64, shards int32) []int32 {
	replicas := make([]int32, shards)
	each, rest := desired/int64(shards), desired%int64(shards)
	for id := range replicas {
		replicas[id] = int32(each)
		if int64(id) < rest {
			replicas[id]++
		}
	}
	return replicas
}
