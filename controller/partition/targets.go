package partition

import (
	"slices"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/plans"
	"github.com/example/ksmscale/scaling"
)

// Targets returns a plan with the replicas that each shard should have for now. These are the planned replicas, or the replicas of its
// Deployment in mode None and within the tolerance of its autoscaler.
func Targets(planned plans.Planned, observed observation.Snapshot) plans.Planned {
	manualScaling := planned.KSMScale.Spec.AutoscalingMode() == v1alpha1.ModeNone
	pace := scaling.NewPace(&planned.KSMScale.Spec)
	if observation.ToleranceIgnored(observed.Autoscalers) {
		pace = pace.WithDefaultTolerance()
	}
	planned.Shards, planned.Desired = slices.Clone(planned.Shards), 0
	for i := range planned.Shards {
		shard := &planned.Shards[i]
		deployment := observed.Deployment(shard.Shard)
		switch {
		case manualScaling && deployment == nil:
			shard.Replicas, shard.PausedReplicas = 1, 0
		case manualScaling:
			shard.Replicas, shard.PausedReplicas = observation.ReplicasOf(deployment), 0
		case deployment != nil && pace.Tolerates(observation.ReplicasOf(deployment), shard.Replicas):
			shard.Replicas = observation.ReplicasOf(deployment)
		}
		planned.Desired += int64(shard.Replicas) + int64(shard.PausedReplicas)
	}
	return planned
}
