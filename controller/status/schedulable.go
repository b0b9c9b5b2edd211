package status

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/scaling"
)

// schedulableCondition is False while the scheduler finds no node for a pod. It quotes the scheduler about the first such pod by name.
func schedulableCondition(in conditionInput) metav1.Condition {
	condition := metav1.Condition{
		Type: v1alpha1.ConditionSchedulable, Status: metav1.ConditionTrue,
		Reason: v1alpha1.ReasonAllPodsScheduled, Message: "All pods have a node",
	}
	if withoutZones(in) {
		condition.Reason = v1alpha1.ReasonNoZones
		condition.Message += "; no node that the pods can run on has a zone (label " + corev1.LabelTopologyZone + "), so replicas spread over nodes only"
	}
	waiting := in.Snapshot.UnschedulablePods()
	if len(waiting) > 0 {
		first := waiting[0]
		condition.Status, condition.Reason = metav1.ConditionFalse, v1alpha1.ReasonUnschedulable
		condition.Message = fmt.Sprintf("%s for a node%s; the scheduler reports about %s: %s",
			plural(len(waiting), "pod waits", "pods wait"), pausedMessage(in), first.Name, observation.PodCondition(first, corev1.PodScheduled).Message)
	}
	if cpu, memory := objects.PodRequests(in.KSMScale); scaling.GrowsWithoutEnd(&in.KSMScale.Spec, cpu, memory, in.NodeKinds) {
		if len(waiting) == 0 {
			condition.Reason = v1alpha1.ReasonFeedbackLoop
		}
		condition.Message += "; with a cluster autoscaler the cluster would grow without end. A pod takes more than half of most nodes, and with spec.nodesPerMonitor 1 each node adds a pod: set spec.sharding.maxReplicasPerShard, or set spec.nodesPerMonitor to 2 or more"
	}
	return condition
}

// withoutZones reports whether replicas should spread over zones but no node has a zone.
func withoutZones(in conditionInput) bool {
	return in.KSMScale.Spec.Strategy() == v1alpha1.ZoneAware && scaling.WithoutZones(in.Planned.Cluster)
}

// pausedMessage names the shards whose scale-up is paused.
func pausedMessage(in conditionInput) string {
	var paused []string
	for _, shard := range in.Planned.Shards {
		if shard.PausedReplicas > 0 {
			paused = append(paused, fmt.Sprintf("scale-up of shard %d is paused at %d of %d replicas", shard.ID, shard.Replicas, shard.Replicas+shard.PausedReplicas))
		}
	}
	if len(paused) == 0 {
		return ""
	}
	return "; " + strings.Join(paused, ", ")
}
