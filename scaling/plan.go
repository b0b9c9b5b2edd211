package scaling

import (
	"math"

	"github.com/example/ksmscale/api/v1alpha1"
)

// Cluster is a picture of the cluster for one KSMScale. It has all numbers on which a plan depends, and the numbers that
// are reported with it.
type Cluster struct {
	// Nodes is the number of nodes that spec.nodes counts.
	Nodes int
	// Registered is the number of all nodes, and Schedulable the number of nodes that are not cordoned. The plan does not
	// depend on them.
	Registered, Schedulable int
	// Placeable is the number of nodes on which the pods of the shards may run, and Zoned how many of these have a zone.
	// They are known only for the strategy zone-aware.
	Placeable, Zoned int
}

// Bound is the bound of spec.sharding that decided a plan, if any.
type Bound string

// The bounds that can decide a plan.
const (
	// WithinBounds means that the desired replicas are the calculated ones.
	WithinBounds Bound = ""
	// AtMinimum means that minReplicasPerShard raised the calculated number.
	AtMinimum Bound = "AtMinimum"
	// AtMaximum means that maxReplicasPerShard lowered the calculated number.
	AtMaximum Bound = "AtMaximum"
)

// Shard has the desired replicas of one shard.
type Shard struct {
	v1alpha1.Shard
	// Replicas is at least 1.
	Replicas int32
	// PausedReplicas is how many further replicas are planned, but not desired while a pod of the shard waits for a node.
	PausedReplicas int32
	// AcrossZones is whether the replicas must be spread evenly over zones.
	AcrossZones bool
}

// Plan has the desired replicas of a KSMScale's shards.
type Plan struct {
	// Total is the number of shards.
	Total int32
	// Calculated is the number of replicas for the nodes, before bounds.
	Calculated int64
	// Desired is Calculated within bounds. It is the sum of the replicas of Shards, including replicas whose scale-up is
	// paused.
	Desired int64
	// Bound is the reason why Desired differs from Calculated.
	Bound Bound
	// Shards has every shard, in the order of their numbers.
	Shards []Shard
}

const (
	defaultNodesPerMonitor = 15
	minimumReplicas        = 1
)

// New plans the shards of a KSMScale:
//
//	calculated = ceil(nodes / nodesPerMonitor)
//	desired    = clamp(calculated, shards * minReplicasPerShard, shards * maxReplicasPerShard)
//
// The replication strategy divides desired among the shards. Unset fields have their default, such as in an object without
// the API server's defaults. Shards whose scale-up is paused do not rise. If minimum and maximum contradict each other,
// the maximum applies, because it protects the cluster.
func New(ksmScale *v1alpha1.KSMScale, cluster Cluster) Plan {
	return NewPartition(ksmScale, cluster, ksmScale.TotalShards())
}

// NewPartition is New for another number of shards than the spec's. During a reshard, the old shards continue to follow
// the nodes.
func NewPartition(ksmScale *v1alpha1.KSMScale, cluster Cluster, total int32) Plan {
	total = max(total, 1)
	lower, upper := ReplicaBounds(ksmScale.Spec.Sharding)

	plan := Plan{Total: total, Calculated: calculated(cluster.Nodes, ksmScale.Spec.NodesPerMonitor)}
	plan.Desired, plan.Bound = clamp(plan.Calculated, int64(total)*int64(lower), int64(total)*int64(upper))

	plan.Shards = make([]Shard, total)
	for id, replicas := range divided(ksmScale, plan.Desired, total, lower, upper) {
		plan.Shards[id] = Shard{
			Shard:       v1alpha1.Shard{KSMScale: ksmScale.Name, ID: int32(id), Total: total},
			Replicas:    replicas,
			AcrossZones: acrossZones(ksmScale.Spec.Strategy(), cluster),
		}
	}
	plan.pauseScaleUp(ksmScale.Status.ShardingStatus, lower)
	return plan
}

// divided are the replicas of each shard. Until the loads of the shards have been measured, least-loaded is the same as
// round-robin.
func divided(ksmScale *v1alpha1.KSMScale, desired int64, total, lower, upper int32) []int32 {
	if weights := ksmScale.Status.WeightsOf(total); ksmScale.Spec.Strategy() == v1alpha1.LeastLoaded && weights != nil {
		return leastLoaded(desired, weights, lower, upper)
	}
	return roundRobin(desired, total)
}

func calculated(nodes int, nodesPerMonitor int32) int64 {
	if nodesPerMonitor < 1 {
		nodesPerMonitor = defaultNodesPerMonitor
	}
	whole, rest := max(nodes, 0)/int(nodesPerMonitor), max(nodes, 0)%int(nodesPerMonitor)
	if rest > 0 {
		whole++
	}
	return int64(whole)
}

// ReplicaBounds returns the lowest and the highest number of replicas of each shard. math.MaxInt32 is unlimited.
func ReplicaBounds(sharding *v1alpha1.ShardingConfig) (lower, upper int32) {
	if sharding == nil {
		return minimumReplicas, math.MaxInt32
	}
	lower, upper = max(sharding.MinReplicasPerShard, minimumReplicas), sharding.MaxReplicasPerShard
	if upper <= 0 {
		upper = math.MaxInt32
	}
	return lower, upper
}

func clamp(fromNodes, lower, upper int64) (int64, Bound) {
	switch {
	case fromNodes > upper || lower > upper:
		return upper, AtMaximum
	case fromNodes < lower:
		return lower, AtMinimum
	default:
		return fromNodes, WithinBounds
	}
}
