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
	condition := calculated(in)
	if work.Reason == v1alpha1.ReasonScaleDownPending {
		condition = because(metav1.ConditionTrue, *work)
	}
	condition.Message += ignoredShardCount(in)
	return condition
}

// calculated compares the replicas that run with the calculated ones. No work is left.
func calculated(in conditionInput) metav1.Condition {
	condition := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue}
	calculated := fmt.Sprintf("%s / %s per monitor = %s calculated",
		plural(in.Planned.Cluster.Nodes, "node", "nodes"), plural(int(in.KSMScale.Spec.NodesPerMonitor), "node", "nodes"), plural(int(in.Planned.Calculated), "replica", "replicas"))
	desired, running := int(in.Planned.Desired), plural(int(in.targets.Desired), "runs", "run")
	switch {
	case in.targets.Desired != in.Planned.Desired && in.KSMScale.Spec.AutoscalingMode() != v1alpha1.ModeNone:
		condition.Reason = v1alpha1.ReasonWithinTolerance
		condition.Message = fmt.Sprintf("%s; %s, which is within the tolerance of the %d desired", calculated, running, desired)
	case in.targets.Desired != in.Planned.Desired:
		condition.Reason = v1alpha1.ReasonManualScaling
		condition.Message = fmt.Sprintf("%s; %s desired and %s, because spec.autoscaling.mode is None", calculated, plural(desired, "is", "are"), running)
	case in.Planned.Bound == scaling.AtMinimum:
		condition.Reason, condition.Message = v1alpha1.ReasonAtMinimum, fmt.Sprintf("%s; the minimum of %d runs", calculated, desired)
	case in.Planned.Bound == scaling.AtMaximum:
		condition.Reason, condition.Message = v1alpha1.ReasonAtMaximum, fmt.Sprintf("%s; the maximum of %d runs", calculated, desired)
	default:
		condition.Reason, condition.Message = v1alpha1.ReasonAsPlanned, calculated+" and running"
	}
	return condition
}

// ignoredShardCount points out that spec.sharding is set but has no effect, which is easily overlooked. The bounds of replicas and the
// strategy zone-aware also apply to one shard, so a spec with them is probably intended. The API server sets defaults, so the controller
// cannot know whether the user has set shardCount.
func ignoredShardCount(in conditionInput) string {
	sharding := in.KSMScale.Spec.Sharding
	if sharding == nil || sharding.Enabled || in.KSMScale.Spec.Strategy() == v1alpha1.ZoneAware {
		return ""
	}
	lower, upper := scaling.ReplicaBounds(sharding)
	if unboundedLower, unboundedUpper := scaling.ReplicaBounds(nil); lower != unboundedLower || upper != unboundedUpper {
		return ""
	}
	return fmt.Sprintf("; spec.sharding.enabled is not true, so one set of pods exports all objects and shardCount has no effect: set enabled to true for %d shards, or remove spec.sharding", sharding.ShardCount)
}
