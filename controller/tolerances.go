package controller

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	autoscalingv2ac "k8s.io/client-go/applyconfigurations/autoscaling/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/controller/observation"
)

const (
	// toleranceRetry is how long the controller sends no tolerances to an API server that dropped one. After that the API server may have
	// been upgraded.
	toleranceRetry = time.Hour
	// unknownTolerance is in the error of an API server before Kubernetes 1.33, which does not know tolerances.
	unknownTolerance = "tolerance: field not declared in schema"
)

// applyAutoscaler applies the HorizontalPodAutoscaler of a shard, without tolerances if the API server does not keep them.
func applyAutoscaler(ctx context.Context, a applier, shard v1alpha1.Shard) error {
	at := a.Clock.Now()
	sent := a.tolerances.kept(at)
	live := &autoscalingv2.HorizontalPodAutoscaler{}
	err := apply(ctx, a, objects.Autoscaler(a.owner, shard, sent), live, autoscalingv2ac.ExtractHorizontalPodAutoscaler)
	if !sent {
		return err
	}
	if err != nil {
		if !strings.Contains(err.Error(), unknownTolerance) {
			return err
		}
		a.tolerances.drops(at)
		return apply(ctx, a, objects.Autoscaler(a.owner, shard, false), live, autoscalingv2ac.ExtractHorizontalPodAutoscaler)
	}
	// The cache has our own writes, so it has the result of the apply.
	key := client.ObjectKey{Namespace: a.owner.Spec.Namespace, Name: shard.Name()}
	switch err := a.Client.Get(ctx, key, live); {
	case client.IgnoreNotFound(err) != nil:
		return fmt.Errorf("get HorizontalPodAutoscaler %s: %w", key, err)
	case err == nil && observation.LacksTolerance(*live):
		a.tolerances.drops(at)
		// The retry must not be skipped, because an upgraded API server keeps the same tolerances.
		a.outcomes.forgetOne(a.owner.Name, outcomeID("HorizontalPodAutoscaler", key))
	}
	return nil
}

// tolerances remembers whether the API server drops tolerances of HorizontalPodAutoscalers. Otherwise the controller would apply them
// again in each reconcile.
type tolerances struct {
	mu      sync.Mutex
	dropped time.Time
}

// kept reports whether the API server keeps tolerances, as far as the controller knows.
func (t *tolerances) kept(at time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.dropped.IsZero() || at.Sub(t.dropped) >= toleranceRetry
}

// drops records that the API server has dropped a tolerance.
func (t *tolerances) drops(at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dropped = at
}
