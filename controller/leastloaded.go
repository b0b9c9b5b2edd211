package controller

import (
	"slices"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/plans"
)

// weightsOf are the weights that were planned from, of the partitions that there still are.
func weightsOf(planned plans.Planned, partitions []int32) []v1alpha1.ShardWeights {
	sharding := planned.KSMScale.Status.ShardingStatus
	if sharding == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(sharding.Weights), func(weights v1alpha1.ShardWeights) bool {
		return !slices.Contains(partitions, weights.TotalShards)
	})
}

// following is how replicas follow the nodes if nothing is in the way.
func following(in conditionInput) (reason, message string) {
	switch {
	case in.ksmScale.Spec.Strategy() != v1alpha1.LeastLoaded:
		return v1alpha1.ReasonFollowingNodes, "Replicas follow the nodes"
	case in.planned.KSMScale.Status.WeightsOf(in.planned.Total) == nil:
		return v1alpha1.ReasonLoadNotMeasured, "Replicas follow the nodes, and are divided round-robin, since the load of every shard has not been measured for long enough yet"
	default:
		return v1alpha1.ReasonLeastLoaded, "Replicas follow the nodes, and are divided by the measured load, with the weights in status.shardingStatus"
	}
}
