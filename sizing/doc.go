// Package sizing recommends how many shards a KSMScale divides its objects into, and how large the pods of a shard are. It
// is pure: figures, bounds and what was recommended before go in, a recommendation comes out. It has no client and no log,
// and the time is an argument.
//
// Figures are what the gates measured of the shards of the partition that serves, or an Estimate from counts of objects
// while nothing runs. Shards computes the lowest number of shards that fits the figures, ShardCount delays changes of it,
// and Recommend adds memory, CPU and replicas. Recommendations move in steps, so they stay the same while the figures vary a
// little: nothing changes while figures are incomplete, and time spent with incomplete figures does not count.
//
// The controller writes the recommendation to the status, and applies it on request.
package sizing
