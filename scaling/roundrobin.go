package scaling

// roundRobin divides desired replicas among shards one after the other, so that they differ by one at the most
// and the first shards have the greater number.
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
