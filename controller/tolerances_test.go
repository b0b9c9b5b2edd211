package controller

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/runtime"
	autoscalingv2ac "k8s.io/client-go/applyconfigurations/autoscaling/v2"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/example/ksmscale/controller/fixtures"
	"github.com/example/ksmscale/controller/observation"
)

// oldServer has a reconciler's API server treat the tolerances of HorizontalPodAutoscalers as an old one does, and
// counts the requests that apply any of these. Change returns an error to refuse one.
func oldServer(t *testing.T, r *Reconciler, change func(up, down *autoscalingv2ac.HPAScalingRulesApplyConfiguration) error) (applied *int) {
	t.Helper()
	applied = new(int)
	live, ok := r.Client.(client.WithWatch)
	require.True(t, ok)
	r.Client = interceptor.NewClient(live, interceptor.Funcs{Apply: func(ctx context.Context, c client.WithWatch, object runtime.ApplyConfiguration, options ...client.ApplyOption) error {
		if autoscaler, ok := object.(*autoscalingv2ac.HorizontalPodAutoscalerApplyConfiguration); ok {
			*applied++
			sent := *autoscaler
			spec, behavior := *sent.Spec, *sent.Spec.Behavior
			up, down := *behavior.ScaleUp, *behavior.ScaleDown
			if err := change(&up, &down); err != nil {
				return err
			}
			behavior.ScaleUp, behavior.ScaleDown, spec.Behavior, sent.Spec = &up, &down, &behavior, &spec
			object = &sent
		}
		return c.Apply(ctx, object, options...)
	}})
	return applied
}

func dropTolerances(up, down *autoscalingv2ac.HPAScalingRulesApplyConfiguration) error {
	up.Tolerance, down.Tolerance = nil, nil
	return nil
}

func refuseTolerances(up, down *autoscalingv2ac.HPAScalingRulesApplyConfiguration) error {
	if up.Tolerance == nil && down.Tolerance == nil {
		return nil
	}
	return errors.New("failed to create typed patch object (monitoring/ksm-main-shard-0-of-3; autoscaling/v2, Kind=HorizontalPodAutoscaler): .spec.behavior.scaleUp.tolerance: field not declared in schema")
}

func TestAServerThatDropsTolerancesIsNotWrittenToAgainAndAgain(t *testing.T) {
	for name, change := range map[string]func(up, down *autoscalingv2ac.HPAScalingRulesApplyConfiguration) error{
		"drops": dropTolerances, "refuses": refuseTolerances,
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := newReconciler(t, planner{nodes: 60}, nil)
			applied := oldServer(t, r, change)
			for range 2 {
				_, err := reconcileMain(t, r)
				require.NoError(t, err)
			}
			once := *applied
			assert.LessOrEqual(t, once, 4, "each once, and one of them twice")
			for range 10 {
				_, err := reconcileMain(t, r)
				require.NoError(t, err)
			}
			assert.Equal(t, once, *applied)
			assert.Equal(t, 3, autoscalerCount(t, r))
		})
	}
}

func TestAServerThatHasBeenUpgradedKeepsTolerances(t *testing.T) {
	r, _ := newReconciler(t, planner{nodes: 60}, nil)
	upgraded := false
	oldServer(t, r, func(up, down *autoscalingv2ac.HPAScalingRulesApplyConfiguration) error {
		if upgraded {
			return nil
		}
		return dropTolerances(up, down)
	})
	_, err := reconcileMain(t, r)
	require.NoError(t, err)
	upgraded = true
	r.Clock = clocktesting.NewFakePassiveClock(fixtures.Time.Add(toleranceRetry))
	_, err = reconcileMain(t, r)
	require.NoError(t, err)
	var autoscalers autoscalingv2.HorizontalPodAutoscalerList
	require.NoError(t, r.Client.List(t.Context(), &autoscalers))
	assert.Len(t, autoscalers.Items, 3)
	assert.False(t, observation.ToleranceIgnored(autoscalers.Items))
}

func TestATolerantAutoscalerIsMendedWhereTheServerKeepsTolerances(t *testing.T) {
	r, _ := newReconciler(t, planner{nodes: 60}, nil)
	_, err := reconcileMain(t, r)
	require.NoError(t, err)
	autoscaler := &autoscalingv2.HorizontalPodAutoscaler{}
	require.NoError(t, r.Client.Get(t.Context(), client.ObjectKey{Namespace: "monitoring", Name: fixtures.Shard(1).Name()}, autoscaler))
	autoscaler.Spec.Behavior.ScaleDown.Tolerance = nil
	require.NoError(t, r.Client.Update(t.Context(), autoscaler))
	_, err = reconcileMain(t, r)
	require.NoError(t, err)
	require.NoError(t, r.Client.Get(t.Context(), client.ObjectKeyFromObject(autoscaler), autoscaler))
	assert.False(t, observation.LacksTolerance(*autoscaler))
	assert.True(t, r.tolerances.kept(fixtures.Time.Add(time.Minute)))
}
