package observation

import (
	"slices"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
)

// ToleranceIgnored tells whether some HorizontalPodAutoscaler lacks a tolerance, which ours only do if it was dropped.
func ToleranceIgnored(autoscalers []autoscalingv2.HorizontalPodAutoscaler) bool {
	return slices.ContainsFunc(autoscalers, LacksTolerance)
}

func LacksTolerance(autoscaler autoscalingv2.HorizontalPodAutoscaler) bool {
	behavior := autoscaler.Spec.Behavior
	return behavior == nil || behavior.ScaleUp == nil || behavior.ScaleUp.Tolerance == nil ||
		behavior.ScaleDown == nil || behavior.ScaleDown.Tolerance == nil
}
