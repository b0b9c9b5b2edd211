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

// scaleDirectly scales the shards of a KSMScale that is in mode Direct, those of all partitions that there are. It
// returns after how long there is more to do; 0 if nothing is by time alone.
func (r *Reconciler) scaleDirectly(ctx context.Context, planned plans.Planned, observed observation.Snapshot) (time.Duration, error) {
	if planned.KSMScale.Spec.AutoscalingMode() != v1alpha1.ModeDirect {
		r.histories.forget(planned.KSMScale.Name)
		return 0, nil
	}
	// Scaling would fight an autoscaler of others that is not known yet. The first look that succeeds triggers a reconcile.
	if observed.ForeignAutoscalers.Unknown {
		return 0, nil
	}
	shards := planned.AllShards()
	histories := r.histories.of(planned.KSMScale.Name, shards)
	pace := scaling.NewPace(&planned.KSMScale.Spec)
	var again time.Duration
	var errs []error
	for _, shard := range shards {
		deployment := observed.Deployment(shard.Shard)
		if deployment == nil || len(observed.ForeignAutoscalers.Names[deployment.Name]) > 0 {
			continue
		}
		after, err := r.scaleShard(ctx, pace, histories[shard.Shard], shard, deployment)
		again = scaling.Sooner(again, after)
		errs = append(errs, err)
	}
	return again, errors.Join(errs...)
}

// scaleShard sets the replicas of one shard by the scale subresource, as a HorizontalPodAutoscaler does, so that no
// one owns them by server-side apply.
func (r *Reconciler) scaleShard(ctx context.Context, pace scaling.Pace, history *scaling.History, shard scaling.Shard, deployment *appsv1.Deployment) (time.Duration, error) {
	now, current := r.Clock.Now(), observation.ReplicasOf(deployment)
	history.Recommend(pace, current, shard.Replicas, now)
	next, again := pace.Next(history, current, now)
	if next == current {
		return again, nil
	}
	// The cache may lag behind, and an error would be out of all proportion: each pod that gets ready changes the
	// Deployment.
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		scale := &autoscalingv1.Scale{}
		if err := r.Client.SubResource("scale").Get(ctx, deployment, scale); err != nil {
			return err
		}
		current = scale.Spec.Replicas
		if next, again = pace.Next(history, current, now); next == current {
			return nil
		}
		scale.Spec.Replicas = next
		return r.Client.SubResource("scale").Update(ctx, deployment, client.WithSubResourceBody(scale), client.FieldOwner(objects.FieldOwner))
	})
	if err != nil {
		return 0, fmt.Errorf("scale Deployment %s: %w", deployment.Name, err)
	}
	if next != current {
		history.Scaled(current, next, now)
	}
	return again, nil
}

// histories are what mode Direct remembers of the shards of each KSMScale. When they are lost, no replica is removed for a whole
// stabilization window.
type histories struct {
	memories[map[v1alpha1.Shard]*scaling.History]
}

// of is that of a KSMScale's shards, with an empty one for those that are new, and none for others.
func (h *histories) of(ksmScale string, shards []scaling.Shard) map[v1alpha1.Shard]*scaling.History {
	return h.renew(ksmScale, func(before map[v1alpha1.Shard]*scaling.History) map[v1alpha1.Shard]*scaling.History {
		now := map[v1alpha1.Shard]*scaling.History{}
		for _, shard := range shards {
			if now[shard.Shard] = before[shard.Shard]; now[shard.Shard] == nil {
				now[shard.Shard] = &scaling.History{}
			}
		}
		return now
	})
}
