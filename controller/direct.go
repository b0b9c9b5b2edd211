package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/plans"
	"github.com/example/ksmscale/scaling"
)

// scaleDirectly scales the shards of all partitions of a KSMScale in mode Direct. It returns the time until the next step, or 0 if no step
// follows by time alone.
func (r *Reconciler) scaleDirectly(ctx context.Context, planned plans.Planned, observed observation.Snapshot) (time.Duration, error) {
	if planned.KSMScale.Spec.AutoscalingMode() != v1alpha1.ModeDirect {
		r.histories.forget(planned.KSMScale.Name)
		return 0, nil
	}
	// The controller would fight an autoscaler of others that it does not know yet. The poll that covers the namespace triggers a reconcile.
	if observed.ForeignAutoscalers.Unknown {
		return 0, nil
	}
	shards := planned.AllShards()
	shardHistories := r.histories.of(planned.KSMScale.Name, shards)
	pace := scaling.NewPace(&planned.KSMScale.Spec)
	var requeueAfter time.Duration
	var errs []error
	for _, shard := range shards {
		deployment := observed.Deployment(shard.Shard)
		if deployment == nil || len(observed.ForeignAutoscalers.Names[deployment.Name]) > 0 {
			continue
		}
		after, err := r.scaleShard(ctx, pace, shardHistories[shard.Shard], shard, deployment)
		requeueAfter = scaling.Sooner(requeueAfter, after)
		errs = append(errs, err)
	}
	return requeueAfter, errors.Join(errs...)
}

// scaleShard sets the replicas of one shard through the scale subresource, as a HorizontalPodAutoscaler does. So no field manager owns
// them by server-side apply.
func (r *Reconciler) scaleShard(ctx context.Context, pace scaling.Pace, history *scaling.History, shard scaling.Shard, deployment *appsv1.Deployment) (time.Duration, error) {
	at, current := r.Clock.Now(), observation.ReplicasOf(deployment)
	history.Recommend(pace, current, shard.Replicas, at)
	next, requeueAfter := pace.Next(history, current, at)
	if next == current {
		return requeueAfter, nil
	}
	// Conflicts are common, because each pod that becomes ready changes the Deployment. A retry avoids an error in the status.
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		scale := &autoscalingv1.Scale{}
		if err := r.Client.SubResource("scale").Get(ctx, deployment, scale); err != nil {
			return err
		}
		current = scale.Spec.Replicas
		if next, requeueAfter = pace.Next(history, current, at); next == current {
			return nil
		}
		scale.Spec.Replicas = next
		return r.Client.SubResource("scale").Update(ctx, deployment, client.WithSubResourceBody(scale), client.FieldOwner(objects.FieldOwner))
	})
	if err != nil {
		return 0, fmt.Errorf("scale Deployment %s: %w", deployment.Name, err)
	}
	if next != current {
		history.Scaled(current, next, at)
	}
	return requeueAfter, nil
}

// histories has the past recommendations for the shards of each KSMScale. After a loss in mode Direct, the controller removes no replica for
// one stabilization window.
type histories struct {
	memories[map[v1alpha1.Shard]*scaling.History]
}

// of returns the histories of the shards of a KSMScale. A new shard gets an empty history, and other shards lose theirs.
func (h *histories) of(ksmScale string, shards []scaling.Shard) map[v1alpha1.Shard]*scaling.History {
	return h.renew(ksmScale, func(before map[v1alpha1.Shard]*scaling.History) map[v1alpha1.Shard]*scaling.History {
		current := map[v1alpha1.Shard]*scaling.History{}
		for _, shard := range shards {
			if current[shard.Shard] = before[shard.Shard]; current[shard.Shard] == nil {
				current[shard.Shard] = &scaling.History{}
			}
		}
		return current
	})
}
