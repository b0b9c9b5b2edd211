package scaling

import (
	"math"

	"github.com/example/ksmscale/api/v1alpha1"
)

// Cluster is a picture of the cluster as it is for one KSMScale: all of it that a plan depends on, and what is reported
// beside it.
type Cluster struct {
	// Nodes is the number of nodes counted, as spec.nodes says.
	Nodes int
	// Registered is the number of all nodes, and Schedulable of those that are not cordoned. Nothing is planned from
	// them.
	Registered, Schedulable int
	// Placeable is the number of nodes that the pods of the shards may run on, and Zoned of those that have a zone. They
	// are known for the strategy zone-aware only.
	Placeable, Zoned int
}

// Bound says which bound of spec.sharding decided a plan, if any.
type Bound string

// The bounds that can decide a plan.
const (
	// WithinBounds is when as many replicas as were calculated are wanted.
	WithinBounds Bound = ""
	// AtMinimum is when fewer were calculated than minReplicasPerShard allows.
	AtMinimum Bound = "AtMinimum"
	// AtMaximum is when more were calculated than maxReplicasPerShard allows.
	AtMaximum Bound = "AtMaximum"
)

// Shard is how many replicas one shard is wanted to have.
type Shard struct {
	v1alpha1.Shard
	// Replicas is at least 1.
	Replicas int32
	// PausedReplicas is how many more the nodes ask for, but are not wanted while a pod of the shard waits for a node.
	PausedReplicas int32
	// AcrossZones is whether the replicas must be spread evenly over zones.
	AcrossZones bool
}

// Plan is how many replicas are wanted of a KSMScale's shards.
type Plan struct {
	// Total is the number of shards.
	Total int32
	// Calculated is the number of replicas that the nodes ask for, before bounds.
	Calculated int64
	// Desired is Calculated within bounds, and the sum of the replicas of Shards, with those that are held back.
	Desired int64
	// Bound is what made Desired differ from Calculated.
	Bound Bound
	// Shards has every shard in the order of its number.
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
// and desired is divided among the shards by the replication strategy. Fields that are not set, as in an object
// that no API server has defaulted, have their default. Shards that the status says are held do not rise. Should minimum and maximum contradict each other, the
// maximum holds, since it is what protects the cluster.
func New(ksmScale *v1alpha1.KSMScale, cluster Cluster) Plan {
	return NewPartition(ksmScale, cluster, ksmScale.TotalShards())
}

// NewPartition plans the shards of a KSMScale as New does, for another number of shards than the spec's: while the
// number of shards changes, the shards from before go on following the nodes.
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
	plan.hold(ksmScale.Status.ShardingStatus, lower)
	return plan
}

// divided are the replicas of each shard. Until the loads of the shards have been measured, least-loaded is round-robin.
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

// ReplicaBounds returns the least and the greatest number of replicas that each shard may have; math.MaxInt32 is
// unlimited.
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

func clamp(calculated, lower, upper int64) (int64, Bound) {
	switch {
	case calculated > upper || lower > upper:
		return upper, AtMaximum
	case calculated < lower:
		return lower, AtMinimum
	default:
		return calculated, WithinBounds
	}
}
