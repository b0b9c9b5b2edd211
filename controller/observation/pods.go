package observation

import (
	corev1 "k8s.io/api/core/v1"
)

// IsActive reports whether a pod runs or is about to run.
func IsActive(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && !hasEnded(pod)
}

// hasEnded reports whether the containers of a pod have ended for good.
func hasEnded(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// IsUnschedulable reports whether the scheduler finds no node for a pod.
func IsUnschedulable(pod *corev1.Pod) bool {
	scheduled := PodCondition(pod, corev1.PodScheduled)
	return IsActive(pod) && scheduled.Status == corev1.ConditionFalse && scheduled.Reason == corev1.PodReasonUnschedulable
}

// PodCondition returns the condition of a type, or the zero condition if the pod does not have it.
func PodCondition(pod *corev1.Pod, conditionType corev1.PodConditionType) corev1.PodCondition {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == conditionType {
			return condition
		}
	}
	return corev1.PodCondition{}
}

// IsReady reports whether a pod has the condition Ready.
func IsReady(pod *corev1.Pod) bool {
	return PodCondition(pod, corev1.PodReady).Status == corev1.ConditionTrue
}
