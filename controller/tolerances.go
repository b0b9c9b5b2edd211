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
	// toleranceRetry is after how long an API server that dropped tolerances is sent one again: it may have been
	// upgraded.
	toleranceRetry = time.Hour
	// unknownTolerance is what API servers before Kubernetes 1.33 say to a tolerance, which they do not know at all.
	unknownTolerance = "tolerance: field not declared in schema"
)

// applyAutoscaler makes the HorizontalPodAutoscaler of a shard as it is wanted, without tolerances if the API server
// does not keep them.
func applyAutoscaler(ctx context.Context, a applier, shard v1alpha1.Shard) error {
	now := a.Clock.Now()
	sent := a.tolerances.kept(now)
	live := &autoscalingv2.HorizontalPodAutoscaler{}
	err := apply(ctx, a, objects.Autoscaler(a.owner, shard, sent), live, autoscalingv2ac.ExtractHorizontalPodAutoscaler)
	if !sent {
		return err
	}
	if err != nil {
		if !strings.Contains(err.Error(), unknownTolerance) {
			return err
		}
		a.tolerances.drops(now)
		return apply(ctx, a, objects.Autoscaler(a.owner, shard, false), live, autoscalingv2ac.ExtractHorizontalPodAutoscaler)
	}
	// What came of it, from the cache, which has our own writes.
	key := client.ObjectKey{Namespace: a.owner.Spec.Namespace, Name: shard.Name()}
	switch err := a.Client.Get(ctx, key, live); {
	case client.IgnoreNotFound(err) != nil:
		return fmt.Errorf("get HorizontalPodAutoscaler %s: %w", key, err)
	case err == nil && observation.LacksTolerance(*live):
		a.tolerances.drops(now)
		// The retry is not the same apply again if the API server has been upgraded.
		a.outcomes.forgetOne(a.owner.Name, outcomeID("HorizontalPodAutoscaler", key))
	}
	return nil
}

// tolerances remembers whether the API server drops the tolerances of HorizontalPodAutoscalers. One that is sent again
// and again what it drops would be written to with each look.
type tolerances struct {
	mu      sync.Mutex
	dropped time.Time
}

// kept tells whether tolerances are kept, as far as is known.
func (t *tolerances) kept(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.dropped.IsZero() || now.Sub(t.dropped) >= toleranceRetry
}

func (t *tolerances) drops(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dropped = now
}
