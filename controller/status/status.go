package status

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/controller/partition"
	"github.com/example/ksmscale/plans"
	"github.com/example/ksmscale/scaling"
)

// Input is the input of a status.
type Input struct {
	// KSMScale is the KSMScale with its previous status.
	KSMScale *v1alpha1.KSMScale
	// Planned is the plan for the current nodes. Its KSMScale already has the new weights and paused shards in its status.
	Planned plans.Planned
	// Snapshot is what exists after the decision has been carried out.
	Snapshot observation.Snapshot
	// Decision is the decision that was carried out, and Failures are the errors of that.
	Decision partition.Decision
	Failures Failures
	// ExternalMetrics is the state of the registration of external metrics.
	ExternalMetrics ExternalMetrics
	// Adapter is the Service that serves external metrics if they are registered for KSMScale.
	Adapter v1alpha1.ServiceReference
	// NodeKinds are the kinds of nodes in the cluster.
	NodeKinds []scaling.NodeKind
	// ScaleDownNotBefore is the earliest time at which the stabilization window lets some shard lose pods; zero if it is not known.
	ScaleDownNotBefore time.Time
	// Now is the current time in whole seconds, as the API server stores it.
	Now metav1.Time
}

// Failures are the errors of one reconcile.
type Failures struct {
	// Apply is the error of objects, Scale of replicas, and Monitoring of objects of the Prometheus Operator.
	Apply, Scale, Monitoring error
}

// ExternalMetrics is the state of the registration of external metrics.
type ExternalMetrics struct {
	// Disabled reports that the installation has no adapter (--external-metrics=false).
	Disabled bool
	// Err is why the controller cannot register external metrics, or nil.
	Err error
	// ReleaseErr is why the controller cannot remove its owner reference from an APIService that another adapter has taken, or nil.
	// Uninstalling KSMScale would delete that APIService.
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
		},
		DesiredReplicas: saturated(in.Planned.Desired),
		Version:         runningVersion(in),
		Recommendation:  in.Planned.KSMScale.Status.Recommendation,
		MissingObjects:  missingObjects(in),
		ShardingStatus: &v1alpha1.ShardingStatus{
			TotalShards:       in.Planned.Total,
			Partitions:        slices.Sorted(maps.Keys(observation.Partitions(in.Snapshot.Deployments).Insert(in.Planned.Total))),
			ScaleUpPaused:     in.Planned.KSMScale.Status.ShardingStatus.ScaleUpPaused,
			ShardDistribution: make(map[string]v1alpha1.ShardReplicas, len(in.Planned.Shards)),
		},
	}
	status.ShardingStatus.Weights = weightsOf(in.Planned, status.ShardingStatus.Partitions)
	countPods(&status, in)
	targets := partition.Targets(in.Planned, in.Snapshot)
	conditions := conditionInput{Input: in, targets: targets, status: status}
	status.Conditions = allConditions(conditions)
	status.Phase = summarize(conditions, status.Conditions).phase()
	return status
}

// countPods counts the pods of each shard of every partition, and of all shards together.
func countPods(status *v1alpha1.KSMScaleStatus, in Input) {
	sharding, ready := status.ShardingStatus, int32(0)
	for _, total := range sharding.Partitions {
		for id := range total {
			shard := v1alpha1.Shard{KSMScale: in.KSMScale.Name, ID: id, Total: total}
			replicas := in.Snapshot.Replicas(shard)
			status.CurrentReplicas += replicas.Replicas
			ready += replicas.Ready
			if total == in.Planned.Total {
				sharding.ShardDistribution[strconv.Itoa(int(id))] = replicas
				continue
			}
			if sharding.PreviousShardDistribution == nil {
				sharding.PreviousShardDistribution = map[string]v1alpha1.ShardReplicas{}
			}
			sharding.PreviousShardDistribution[fmt.Sprintf("%d-of-%d", id, total)] = replicas
		}
	}
	status.Ready = fmt.Sprintf("%d/%d", ready, status.CurrentReplicas)
}

// weightsOf returns the weights that the plan used, of the partitions that still exist.
func weightsOf(planned plans.Planned, partitions []int32) []v1alpha1.ShardWeights {
	sharding := planned.KSMScale.Status.ShardingStatus
	if sharding == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(sharding.Weights), func(weights v1alpha1.ShardWeights) bool {
		return !slices.Contains(partitions, weights.TotalShards)
	})
}

// divided reports whether each shard has its planned number of pods.
func divided(planned plans.Planned, sharding *v1alpha1.ShardingStatus) bool {
	for _, shard := range planned.Shards {
		if sharding.ShardDistribution[strconv.Itoa(int(shard.ID))].Replicas != shard.Replicas {
			return false
		}
	}
	return true
}

// totalReady counts the ready pods of all shards.
func totalReady(sharding *v1alpha1.ShardingStatus) int32 {
	var total int32
	for _, replicas := range sharding.ShardDistribution {
		total += replicas.Ready
	}
	return total
}

// saturated limits a count to the 32 bits of the status fields.
func saturated(count int64) int32 { return int32(min(count, math.MaxInt32)) }
