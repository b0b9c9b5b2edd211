package controller

import (
	"time"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/plans"
	"github.com/example/ksmscale/scaling"
)

// scaleDownNotBefore returns the earliest time at which the stabilization window lets some shard lose pods. It is zero if no shard has pods
// to lose, or if the time is not known. With HorizontalPodAutoscalers it is known for shards whose plan this process saw fall.
func (r *Reconciler) scaleDownNotBefore(planned plans.Planned, observed observation.Snapshot) time.Time {
	mode, shards, now := planned.KSMScale.Spec.AutoscalingMode(), planned.AllShards(), r.Clock.Now()
	pace := scaling.NewPace(&planned.KSMScale.Spec)
	var recommended map[v1alpha1.Shard]*scaling.History
	switch mode {
	case v1alpha1.ModeHorizontalPodAutoscaler:
		recommended = r.recommended.of(planned.KSMScale.Name, shards)
		for _, shard := range shards {
			recommended[shard.Shard].Recommend(pace, shard.Replicas, shard.Replicas, now)
		}
	case v1alpha1.ModeDirect:
		r.recommended.forget(planned.KSMScale.Name)
		recommended = r.histories.of(planned.KSMScale.Name, shards)
	default:
		r.recommended.forget(planned.KSMScale.Name)
		return time.Time{}
	}
	var earliest time.Duration
	for _, shard := range planned.Shards {
		deployment := observed.Deployment(shard.Shard)
		if deployment == nil || observation.ReplicasOf(deployment) <= shard.Replicas {
			continue
		}
		current := observation.ReplicasOf(deployment)
		next, left := pace.Next(recommended[shard.Shard], current, now)
		if next != current || left <= 0 {
			return time.Time{}
		}
		earliest = scaling.Sooner(earliest, left)
	}
	if earliest == 0 {
		return time.Time{}
	}
	if mode == v1alpha1.ModeHorizontalPodAutoscaler {
		// An autoscaler may have read the metric for the last time that long before the controller saw the plan fall.
		earliest -= scaling.AutoscalerSyncPeriod
	}
	return now.Add(earliest)
}
