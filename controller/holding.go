package controller

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/scaling"
)

// isUnschedulable tells whether the scheduler has looked for a node for a pod, and found none.
func isUnschedulable(pod *corev1.Pod) bool {
	scheduled := podCondition(pod, corev1.PodScheduled)
	return isActive(pod) && scheduled.Status == corev1.ConditionFalse && scheduled.Reason == corev1.PodReasonUnschedulable
}

// waiting are the pods that wait for a node, in the order of their names, of Deployments that lack pods: one that has all of its pods
// waits for none, whatever pods look like its own.
func (o *observed) waiting() []*corev1.Pod {
	lacking := sets.New[v1alpha1.Shard]()
	for i := range o.deployments {
		if shard, ok := shardOf(o.deployments[i].Labels); ok && o.deployments[i].Status.UnavailableReplicas > 0 {
			lacking.Insert(shard)
		}
	}
	return slices.DeleteFunc(byName(o.pods), func(pod *corev1.Pod) bool {
		shard, ok := shardOf(pod.Labels)
		return !ok || !lacking.Has(shard) || !isUnschedulable(pod)
	})
}

// holds are the shards with pods that wait for a node, held at what their Deployments are set to now. Fewer would take
// away pods that run, and more cannot come of it: who scales reads no more than this.
func holds(observed observed) []v1alpha1.PausedShard {
	waiting := sets.New[v1alpha1.Shard]()
	for _, pod := range observed.waiting() {
		if shard, ok := shardOf(pod.Labels); ok {
			waiting.Insert(shard)
		}
	}
	var held []v1alpha1.PausedShard
	for _, deployment := range byName(observed.deployments) {
		shard, ok := shardOf(deployment.Labels)
		if ok && waiting.Has(shard) {
			held = append(held, v1alpha1.PausedShard{Shard: shard.ID, TotalShards: shard.Total, Replicas: replicasOf(deployment)})
		}
	}
	return held
}

// holding is a KSMScale whose status has the shards that are held now, for plans to be made from. The rest is shared.
func holding(ksmScale *v1alpha1.KSMScale, observed observed) *v1alpha1.KSMScale {
	held := *ksmScale
	held.Status.ShardingStatus = &v1alpha1.ShardingStatus{}
	if sharding := ksmScale.Status.ShardingStatus; sharding != nil {
		*held.Status.ShardingStatus = *sharding
	}
	held.Status.ShardingStatus.ScaleUpPaused = holds(observed)
	return &held
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
	waiting := in.observed.waiting()
	if len(waiting) > 0 {
		first := waiting[0]
		is.Status, is.Reason = metav1.ConditionFalse, v1alpha1.ReasonUnschedulable
		is.Message = fmt.Sprintf("%s for a node%s; the scheduler says of %s: %s",
			plural(len(waiting), "pod waits", "pods wait"), heldBack(in), first.Name, podCondition(first, corev1.PodScheduled).Message)
	}
	if cpu, memory := requests(in.ksmScale); scaling.GrowsWithoutEnd(&in.ksmScale.Spec, cpu, memory, in.kinds) {
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
	for _, shard := range in.planned.Shards {
		if shard.PausedReplicas > 0 {
			held = append(held, fmt.Sprintf("shard %d is held at %d of %d replicas until then", shard.ID, shard.Replicas, shard.Replicas+shard.PausedReplicas))
		}
	}
	if len(held) == 0 {
		return ""
	}
	return "; " + strings.Join(held, ", ")
}

// requests are what a pod takes of a node, in thousandths of a core and in bytes.
func requests(ksmScale *v1alpha1.KSMScale) (cpu, memory int64) {
	request := func(name corev1.ResourceName) int64 {
		var total resource.Quantity
		for _, container := range []corev1.ResourceRequirements{ksmScale.Spec.Resources, gateResources(ksmScale)} {
			quantity, set := container.Requests[name]
			if !set {
				quantity = container.Limits[name]
			}
			total.Add(quantity)
		}
		return total.MilliValue()
	}
	return request(corev1.ResourceCPU), request(corev1.ResourceMemory) / 1000
}
