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

// withoutZones tells whether replicas should be spread over zones, and there are none.
func withoutZones(in conditionInput) bool {
	return in.KSMScale.Spec.Strategy() == v1alpha1.ZoneAware && scaling.WithoutZones(in.Planned.Cluster)
}

// schedulable quotes the scheduler about the first pod, by name, that it finds no node for.
func schedulable(in conditionInput) metav1.Condition {
	is := metav1.Condition{
		Type: v1alpha1.ConditionSchedulable, Status: metav1.ConditionTrue,
		Reason: v1alpha1.ReasonAllPodsScheduled, Message: "No pod waits for a node",
	}
	if withoutZones(in) {
		is.Reason = v1alpha1.ReasonNoZones
		is.Message += "; none that pods can run on has a zone, the label " + corev1.LabelTopologyZone + ", so that replicas are spread over nodes only"
	}
	waiting := in.Snapshot.UnschedulablePods()
	if len(waiting) > 0 {
		first := waiting[0]
		is.Status, is.Reason = metav1.ConditionFalse, v1alpha1.ReasonUnschedulable
		is.Message = fmt.Sprintf("%s for a node%s; the scheduler says of %s: %s",
			plural(len(waiting), "pod waits", "pods wait"), heldBack(in), first.Name, observation.PodCondition(first, corev1.PodScheduled).Message)
	}
	if cpu, memory := objects.PodRequests(in.KSMScale); scaling.GrowsWithoutEnd(&in.KSMScale.Spec, cpu, memory, in.NodeKinds) {
		if len(waiting) == 0 {
			is.Reason = v1alpha1.ReasonFeedbackLoop
		}
		is.Message += "; beside a cluster autoscaler the cluster would grow without end, as a pod takes more than half of most nodes, and with spec.nodesPerMonitor 1 each node asks for another pod: set spec.sharding.maxReplicasPerShard, or spec.nodesPerMonitor to 2 or more"
	}
	return is
}

// heldBack says which shards do not get the replicas that the nodes ask for.
func heldBack(in conditionInput) string {
	var held []string
	for _, shard := range in.Planned.Shards {
		if shard.PausedReplicas > 0 {
			held = append(held, fmt.Sprintf("shard %d is held at %d of %d replicas until then", shard.ID, shard.Replicas, shard.Replicas+shard.PausedReplicas))
		}
	}
	if len(held) == 0 {
		return ""
	}
	return "; " + strings.Join(held, ", ")
}
