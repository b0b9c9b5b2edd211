package observation

import (
	corev1 "k8s.io/api/core/v1"
)

// IsActive tells whether a pod runs or is still going to.
func IsActive(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && !hasEnded(pod)
}

// hasEnded tells whether the containers of a pod have ended for good.
func hasEnded(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// IsUnschedulable tells whether the scheduler has looked for a node for a pod, and found none.
func IsUnschedulable(pod *corev1.Pod) bool {
	scheduled := PodCondition(pod, corev1.PodScheduled)
	return IsActive(pod) && scheduled.Status == corev1.ConditionFalse && scheduled.Reason == corev1.PodReasonUnschedulable
}

// PodCondition returns the zero condition if there is none of that type.
func PodCondition(pod *corev1.Pod, conditionType corev1.PodConditionType) corev1.PodCondition {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == conditionType {
			return condition
		}
	}
	return corev1.PodCondition{}
}
