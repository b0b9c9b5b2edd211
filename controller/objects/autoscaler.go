package objects

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"
	autoscalingv2ac "k8s.io/client-go/applyconfigurations/autoscaling/v2"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/scaling"
)

// Autoscaler returns the desired HorizontalPodAutoscaler of a shard. With an average value of 1 as the target, the desired replicas equal the
// metric. With a target of type Value, it would multiply the current replicas by the metric and scale up without end. Set tolerances to
// false for an API server that drops them.
func Autoscaler(ksmScale *v1alpha1.KSMScale, shard v1alpha1.Shard, tolerances bool) *autoscalingv2ac.HorizontalPodAutoscalerApplyConfiguration {
	lower, upper := scaling.ReplicaBounds(ksmScale.Spec.Sharding)
	return describe(ksmScale, autoscalingv2ac.HorizontalPodAutoscaler(shard.Name(), ksmScale.Spec.Namespace), ShardLabels(ksmScale, shard)).
		WithSpec(autoscalingv2ac.HorizontalPodAutoscalerSpec().
			WithScaleTargetRef(autoscalingv2ac.CrossVersionObjectReference().
				WithAPIVersion("apps/v1").WithKind("Deployment").WithName(shard.Name())).
			WithMinReplicas(lower).
			WithMaxReplicas(upper).
			WithMetrics(autoscalingv2ac.MetricSpec().
				WithType(autoscalingv2.ExternalMetricSourceType).
				WithExternal(autoscalingv2ac.ExternalMetricSource().
					WithMetric(autoscalingv2ac.MetricIdentifier().
						WithName(v1alpha1.MetricDesiredReplicas).
						WithSelector(metav1ac.LabelSelector().WithMatchLabels(shard.MetricLabels()))).
					WithTarget(autoscalingv2ac.MetricTarget().
						WithType(autoscalingv2.AverageValueMetricType).
						WithAverageValue(resource.MustParse("1"))))).
			WithBehavior(autoscalerBehavior(ksmScale.Spec.Autoscaling, tolerances)))
}

// autoscalerBehavior returns the behavior that the user set, with tolerances of 0 by default. With the Kubernetes default of 10 percent, a
// step of one replica would have no effect from 10 or 11 replicas up. The default rate of scaling up stays, because each
// kube-state-metrics that starts lists the whole cluster.
func autoscalerBehavior(autoscaling *v1alpha1.AutoscalingConfig, tolerances bool) *autoscalingv2ac.HorizontalPodAutoscalerBehaviorApplyConfiguration {
	behavior := &v1alpha1.ScalingBehavior{}
	if autoscaling != nil && autoscaling.Behavior != nil {
		behavior = autoscaling.Behavior
	}
	return autoscalingv2ac.HorizontalPodAutoscalerBehavior().
		WithScaleUp(scalingRules(behavior.ScaleUp, tolerances)).
		WithScaleDown(scalingRules(behavior.ScaleDown, tolerances))
}

// scalingRules returns the rules of one direction.
func scalingRules(set *v1alpha1.ScalingRules, tolerances bool) *autoscalingv2ac.HPAScalingRulesApplyConfiguration {
	rules := autoscalingv2ac.HPAScalingRules()
	if set != nil {
		rules = As[autoscalingv2ac.HPAScalingRulesApplyConfiguration](set)
	}
	switch {
	case !tolerances:
		rules.Tolerance = nil
	case rules.Tolerance == nil:
		rules.WithTolerance(resource.MustParse("0"))
	}
	return rules
}
