package observation

import (
	"slices"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
)

// ToleranceIgnored reports whether one of our HorizontalPodAutoscalers lacks a tolerance. The controller always sets a tolerance, so the API
// server has dropped it.
func ToleranceIgnored(autoscalers []autoscalingv2.HorizontalPodAutoscaler) bool {
	return slices.ContainsFunc(autoscalers, LacksTolerance)
}

// LacksTolerance reports whether a HorizontalPodAutoscaler lacks a tolerance in one direction.
func LacksTolerance(autoscaler autoscalingv2.HorizontalPodAutoscaler) bool {
	behavior := autoscaler.Spec.Behavior
	return behavior == nil || behavior.ScaleUp == nil || behavior.ScaleUp.Tolerance == nil ||
		behavior.ScaleDown == nil || behavior.ScaleDown.Tolerance == nil
}
