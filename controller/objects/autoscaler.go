package objects

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"
	autoscalingv2ac "k8s.io/client-go/applyconfigurations/autoscaling/v2"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/scaling"
)

// Autoscaler is the wanted HorizontalPodAutoscaler of a shard. Its target is an average value of 1 per replica,
// with which it wants just as many replicas as the metric says; with a target of kind Value it would multiply the
// replicas there are by the metric, and run away. An API server that drops tolerances is not sent any.
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
			WithBehavior(behavior(ksmScale.Spec.Autoscaling, tolerances)))
}

// behavior is what the user set, and tolerances of 0 unless they set one: with the default of a tenth, a step of
// one replica is not acted on from 10 or 11 replicas up. The default rate of scaling up is kept on purpose, since
// each kube-state-metrics that starts lists the whole cluster.
func behavior(autoscaling *v1alpha1.AutoscalingConfig, tolerances bool) *autoscalingv2ac.HorizontalPodAutoscalerBehaviorApplyConfiguration {
	behavior := &v1alpha1.ScalingBehavior{}
	if autoscaling != nil && autoscaling.Behavior != nil {
		behavior = autoscaling.Behavior
	}
	return autoscalingv2ac.HorizontalPodAutoscalerBehavior().
		WithScaleUp(scalingRules(behavior.ScaleUp, tolerances)).
		WithScaleDown(scalingRules(behavior.ScaleDown, tolerances))
}

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
