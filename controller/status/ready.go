package status

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/scaling"
)

// readyCondition folds the other conditions to one. The first condition that is False gives its reason and message. Without such a condition,
// unfinished work does, and then the first condition that is Unknown. Pods that only wait to be removed are no unfinished work.
func readyCondition(in conditionInput, parts []metav1.Condition) metav1.Condition {
	because := func(status metav1.ConditionStatus, part metav1.Condition) metav1.Condition {
		return metav1.Condition{Type: v1alpha1.ConditionReady, Status: status, Reason: part.Reason, Message: part.Message}
	}
	for _, part := range parts {
		if part.Status == metav1.ConditionFalse {
			return because(part.Status, part)
		}
	}
	work := meta.FindStatusCondition(parts, v1alpha1.ConditionProgressing)
	if work.Reason != v1alpha1.ReasonComplete && work.Reason != v1alpha1.ReasonScaleDownPending {
		return because(metav1.ConditionFalse, *work)
	}
	for _, part := range parts {
		if part.Status != metav1.ConditionTrue {
			return because(part.Status, part)
		}
	}
	if work.Reason == v1alpha1.ReasonScaleDownPending {
		return because(metav1.ConditionTrue, *work)
	}
	condition := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue}
	calculated := fmt.Sprintf("%d nodes / %d nodes per monitor = %d replicas calculated",
		in.Planned.Cluster.Nodes, in.KSMScale.Spec.NodesPerMonitor, in.Planned.Calculated)
	switch {
	case in.targets.Desired != in.Planned.Desired && in.KSMScale.Spec.AutoscalingMode() != v1alpha1.ModeNone:
		condition.Reason = v1alpha1.ReasonWithinTolerance
		condition.Message = fmt.Sprintf("%s; %d run, which is within the tolerance of the %d desired", calculated, in.targets.Desired, in.Planned.Desired)
	case in.targets.Desired != in.Planned.Desired:
		condition.Reason = v1alpha1.ReasonManualScaling
		condition.Message = fmt.Sprintf("%s; %d are desired and %d run, because spec.autoscaling.mode is None", calculated, in.Planned.Desired, in.targets.Desired)
	case in.Planned.Bound == scaling.AtMinimum:
		condition.Reason, condition.Message = v1alpha1.ReasonAtMinimum, fmt.Sprintf("%s; the minimum of %d runs", calculated, in.Planned.Desired)
	case in.Planned.Bound == scaling.AtMaximum:
		condition.Reason, condition.Message = v1alpha1.ReasonAtMaximum, fmt.Sprintf("%s; the maximum of %d runs", calculated, in.Planned.Desired)
	default:
		condition.Reason, condition.Message = v1alpha1.ReasonAsPlanned, calculated+" and running"
	}
	return condition
}
