package status

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/example/ksmscale/api/v1alpha1"
)

// What a strategy lacks is told, and leaves the KSMScale Ready.
func TestConditionsOfStrategies(t *testing.T) {
	weighted := func(weights ...int32) *v1alpha1.ShardingStatus {
		return &v1alpha1.ShardingStatus{Weights: []v1alpha1.ShardWeights{{TotalShards: int32(len(weights)), Weights: weights}}}
	}
	for _, test := range []struct {
		name     string
		strategy v1alpha1.ReplicationStrategy
		override func(*world)
		// condition, reason and message are of the condition that tells.
		condition, reason, message string
	}{
		{"zones", v1alpha1.ZoneAware, func(*world) {}, v1alpha1.ConditionSchedulable, "AllPodsScheduled", "All pods have a node"},
		{"no zones", v1alpha1.ZoneAware, func(w *world) { w.unzoned = 45 }, v1alpha1.ConditionSchedulable, "NoZones", "topology.kubernetes.io/zone"},
		{"no zones, and none desired", v1alpha1.RoundRobin, func(w *world) { w.unzoned = 45 }, v1alpha1.ConditionSchedulable, "AllPodsScheduled", "All pods have a node"},
		{"no loads", v1alpha1.LeastLoaded, func(*world) {}, v1alpha1.ConditionAutoscaling, "LoadNotMeasured", "round-robin"},
		{"loads of other shards", v1alpha1.LeastLoaded, func(w *world) { w.ksmScale.Status.ShardingStatus = weighted(5, 20) },
			v1alpha1.ConditionAutoscaling, "LoadNotMeasured", "round-robin"},
		{"loads", v1alpha1.LeastLoaded, func(w *world) { w.ksmScale.Status.ShardingStatus = weighted(5, 20, 5) },
			v1alpha1.ConditionAutoscaling, "LeastLoaded", "measured load"},
		{"loads, without autoscalers", v1alpha1.LeastLoaded, func(w *world) {
			w.ksmScale.Status.ShardingStatus = weighted(5, 20, 5)
			w.ksmScale.Spec.Autoscaling = &v1alpha1.AutoscalingConfig{Mode: v1alpha1.ModeDirect}
		}, v1alpha1.ConditionAutoscaling, "LeastLoaded", "measured load"},
		{"loads that do not matter", v1alpha1.RoundRobin, func(w *world) { w.ksmScale.Status.ShardingStatus = weighted(5, 20, 5) },
			v1alpha1.ConditionAutoscaling, "FollowingNodes", "Replicas follow the nodes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(test.override)
			w.ksmScale.Spec.Sharding.ReplicationStrategy = test.strategy
			status := w.status()
			condition := meta.FindStatusCondition(status.Conditions, test.condition)
			assert.EqualValues(t, "True", condition.Status)
			assert.Equal(t, test.reason, condition.Reason)
			assert.Contains(t, condition.Message, test.message)
			assert.Equal(t, v1alpha1.ReasonAsPlanned, meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady).Reason)
		})
	}
}
