package status

import (
	"maps"
	"math"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/controller/partition"
	"github.com/example/ksmscale/plans"
	"github.com/example/ksmscale/scaling"
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

// Input is all that a status is computed from.
type Input struct {
	KSMScale *v1alpha1.KSMScale
	// Planned is the plan for the current nodes, made from the status that KSMScale is going to have as far as plans depend on it.
	Planned plans.Planned
	// Snapshot is what exists after the decision has been carried out.
	Snapshot observation.Snapshot
	Decision partition.Decision
	Failures Failures
	// ExternalMetrics is the state of the registration of external metrics.
	ExternalMetrics ExternalMetrics
	// Adapter is the Service that serves external metrics if they are registered for KSMScale.
	Adapter v1alpha1.ServiceReference
	// NodeKinds are the kinds of nodes in the cluster.
	NodeKinds []scaling.NodeKind
	// Now is the time to the second, as the API server keeps it.
	Now metav1.Time
}

// Failures are the errors of one reconcile.
type Failures struct {
	// Apply is about objects, Scale about replicas of shards, and Monitoring about objects of the Prometheus Operator.
	Apply, Scale, Monitoring error
}

// ExternalMetrics is the state of the registration of external metrics.
type ExternalMetrics struct {
	// Disabled tells that the installation has no adapter (--external-metrics=false).
	Disabled bool
	// Err is why the controller cannot register external metrics, or nil.
	Err error
	// ReleaseErr is why the controller cannot remove its owner reference from an APIService that another adapter has taken, or nil.
	// Removing KSMScale would delete that APIService.
	ReleaseErr error
}

// Compute computes the status of a KSMScale, except lastUpdated.
func Compute(in Input) v1alpha1.KSMScaleStatus {
	status := v1alpha1.KSMScaleStatus{
		ObservedGeneration: in.KSMScale.Generation,
		NodeCount:          saturated(int64(in.Planned.Cluster.Nodes)),
		Nodes: &v1alpha1.NodesStatus{
			Registered:  saturated(int64(in.Planned.Cluster.Registered)),
			Schedulable: saturated(int64(in.Planned.Cluster.Schedulable)),
			Counted:     saturated(int64(in.Planned.Cluster.Nodes)),
		},
		DesiredReplicas: saturated(in.Planned.Desired),
		ShardingStatus: &v1alpha1.ShardingStatus{
			TotalShards:       in.Planned.Total,
			Partitions:        slices.Sorted(maps.Keys(observation.Partitions(in.Snapshot.Deployments).Insert(in.Planned.Total))),
			ScaleUpPaused:     in.Planned.KSMScale.Status.ShardingStatus.ScaleUpPaused,
			ShardDistribution: make(map[string]v1alpha1.ShardReplicas, len(in.Planned.Shards)),
		},
	}
	status.ShardingStatus.Weights = weightsOf(in.Planned, status.ShardingStatus.Partitions)
	for _, shard := range in.Planned.Shards {
		replicas := observation.ShardReplicas(shard.Shard, &in.Snapshot)
		status.ShardingStatus.ShardDistribution[strconv.Itoa(int(shard.ID))] = replicas
		status.CurrentReplicas += replicas.Replicas
	}
	targets := partition.Targets(in.Planned, in.Snapshot)
	status.Phase = phase(in, targets, status.ShardingStatus)
	status.Conditions = conditions(conditionInput{Input: in, targets: targets, status: status})
	return status
}

func phase(in Input, targets plans.Planned, sharding *v1alpha1.ShardingStatus) v1alpha1.Phase {
	switch {
	case len(uncovered(sharding)) > 0 && !partition.CoveredByOthers(in.Planned, in.Snapshot):
		return v1alpha1.PhaseIncomplete
	case len(sharding.Partitions) > 1:
		return v1alpha1.PhaseResharding
	case !divided(targets, sharding) || targets.PausedReplicas() > 0:
		return v1alpha1.PhaseScaling
	default:
		return v1alpha1.PhaseReady
	}
}

// divided tells whether each shard has as many pods as are planned for it.
func divided(planned plans.Planned, sharding *v1alpha1.ShardingStatus) bool {
	for _, shard := range planned.Shards {
		if sharding.ShardDistribution[strconv.Itoa(int(shard.ID))].Replicas != shard.Replicas {
			return false
		}
	}
	return true
}

func totalReady(sharding *v1alpha1.ShardingStatus) int32 {
	var ready int32
	for _, replicas := range sharding.ShardDistribution {
		ready += replicas.Ready
	}
	return ready
}

// saturated is a count as the 32-bit fields of the status can hold it.
func saturated(count int64) int32 { return int32(min(count, math.MaxInt32)) }
