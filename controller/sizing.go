package controller

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objectcounts"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/controller/partition"
	"github.com/example/ksmscale/plans"
	"github.com/example/ksmscale/sizing"
)

// leaderGrace is the longest time after which a new leader changes sizes: it starts without the figures of the leader before it.
const leaderGrace = 2 * time.Minute

// Sizing recommends the number of shards and the size of their pods. Its zero value recommends nothing.
type Sizing struct {
	// Settings are the times that figures have to ask for a change; nil to recommend nothing.
	Settings *sizing.Settings
	// Measurements has what gates have measured.
	Measurements observation.Measured
	// Counter counts objects for a first recommendation; nil to wait for measurements.
	Counter ObjectCounter

	states memories[sizing.State]
	// leads is done at the first reconcile of this leader, which is at leaderSince.
	leads       sync.Once
	leaderSince time.Time
}

// ObjectCounter counts the objects of resources in the cluster.
type ObjectCounter interface {
	// Count returns the number of objects of each resource, or objectcounts.NotCounted.
	Count(ctx context.Context, resources []string) map[string]int64
}

// plan returns the plan of a KSMScale whose status has its recommendation, its weights, and the shards whose scale-up is paused. It also
// returns the KSMScale as the API server has it: new sizes are in its status before any object has them.
func (r *Reconciler) plan(ctx context.Context, ksmScale *v1alpha1.KSMScale, snapshot observation.Snapshot) (plans.Planned, *v1alpha1.KSMScale, error) {
	planned, err := r.Plans.One(partition.WithPausedShards(r.withWeights(ksmScale), snapshot))
	if err != nil || r.Sizing.Settings == nil {
		return planned, ksmScale, err
	}
	sized, state := r.recommend(ctx, planned, snapshot)
	if areSizesNew(ksmScale, sized) {
		if ksmScale, err = r.writeSizes(ctx, ksmScale, sized); err != nil {
			return plans.Planned{}, nil, err
		}
	}
	// What was not written is due again at once.
	r.Sizing.states.renew(ksmScale.Name, func(sizing.State) sizing.State { return state })
	planned.KSMScale = sized
	if planned.KSMScale.TotalShards() != planned.Total {
		planned, err = r.Plans.One(planned.KSMScale)
	}
	return planned, ksmScale, err
}

// recommend returns the KSMScale of a plan with its recommendation, and the state to remember once the status has it.
func (r *Reconciler) recommend(ctx context.Context, planned plans.Planned, snapshot observation.Snapshot) (*v1alpha1.KSMScale, sizing.State) {
	ksmScale := planned.KSMScale
	now := r.Clock.Now()
	r.Sizing.leads.Do(func() { r.Sizing.leaderSince = now })
	if ksmScale.Status.Recommendation == nil && len(snapshot.Deployments) == 0 {
		snapshot.ObjectCounts = r.countObjects(ctx, ksmScale)
	}
	isNewLeader := now.Sub(r.Sizing.leaderSince) < min(leaderGrace, r.Sizing.Settings.RiseAfter)
	in := partition.SizingInput(planned, snapshot, isNewLeader)
	recommendation, state := r.Sizing.Settings.Recommend(in, r.Sizing.states.recall(ksmScale.Name), now)
	return partition.WithRecommendation(ksmScale, in, recommendation), state
}

// countObjects returns nil if the controller may count nothing, or if only objects of some namespaces are exported.
func (r *Reconciler) countObjects(ctx context.Context, ksmScale *v1alpha1.KSMScale) map[string]int64 {
	if metrics := ksmScale.Spec.Metrics; len(metrics.Namespaces)+len(metrics.NamespacesDenylist) > 0 {
		return nil
	}
	if r.Sizing.Counter == nil {
		return nil
	}
	counts := r.Sizing.Counter.Count(ctx, objects.ExportedResources(ksmScale))
	if !slices.ContainsFunc(slices.Collect(maps.Values(counts)), func(count int64) bool { return count != objectcounts.NotCounted }) {
		return nil
	}
	return counts
}

// areSizesNew reports whether objects get sizes that the status does not have yet. The adapter plans from the number of shards in the
// status. A size that only objects have would be lost if the status cannot be written: while their rollout runs, no other size is recommended.
func areSizesNew(ksmScale, sized *v1alpha1.KSMScale) bool {
	total := sized.Status.TotalShards()
	isNewTotal := sized.Spec.AutoSharding() != nil && total > 0 && total != ksmScale.Status.TotalShards()
	isNewSize := sized.Spec.AutoResources != nil && !equality.Semantic.DeepEqual(ksmScale.Status.Recommendation, sized.Status.Recommendation)
	return isNewTotal || isNewSize
}

// writeSizes writes the recommendation and the number of shards of a KSMScale to its status.
func (r *Reconciler) writeSizes(ctx context.Context, ksmScale, sized *v1alpha1.KSMScale) (*v1alpha1.KSMScale, error) {
	updated := ksmScale.DeepCopy()
	updated.Status.Recommendation = sized.Status.Recommendation.DeepCopy()
	if sized.Spec.AutoSharding() != nil {
		updated.Status.SetTotalShards(sized.Status.TotalShards())
	}
	if err := r.Client.Status().Update(ctx, updated); err != nil {
		return nil, fmt.Errorf("write the recommended sizes: %w", err)
	}
	return updated, nil
}
