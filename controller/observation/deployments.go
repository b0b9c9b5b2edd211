package observation

import (
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// An annotation, its value, and reasons of the Deployment controller (k8s.io/kubernetes/pkg/controller/deployment/util).
const (
	AnnotationRevision     = "deployment.kubernetes.io/revision"
	FirstRevision          = "1"
	ReasonRolloutCompleted = "NewReplicaSetAvailable"
	ReasonRolloutStuck     = "ProgressDeadlineExceeded"
)

// ReplicasOf returns the replicas that a Deployment is set to.
func ReplicasOf(deployment *appsv1.Deployment) int32 { return ptr.Deref(deployment.Spec.Replicas, 1) }

// IsUnobserved reports whether a Deployment has changed since the Deployment controller observed it last. Its status then describes the
// previous spec.
func IsUnobserved(deployment appsv1.Deployment) bool {
	return deployment.Status.ObservedGeneration < deployment.Generation
}

// IsRollingOut reports whether some pods of a Deployment do not have its current template.
func IsRollingOut(deployment appsv1.Deployment) bool {
	return deployment.Status.UpdatedReplicas < deployment.Status.Replicas
}

// RolloutCompleted reports whether all pods have the template of a Deployment, as observed last, and have once been available. It does not
// compare their number with spec.replicas, because a pod that is added or fails later is no rollout.
func RolloutCompleted(deployment *appsv1.Deployment) bool {
	reason := ProgressingReason(deployment)
	return deployment.Status.UpdatedReplicas >= deployment.Status.Replicas && (reason == "" || reason == ReasonRolloutCompleted)
}

// ProgressingReason returns the reason of the condition Progressing, or an empty text.
func ProgressingReason(deployment *appsv1.Deployment) string {
	for _, condition := range deployment.Status.Conditions {
		if condition.Type == appsv1.DeploymentProgressing {
			return condition.Reason
		}
	}
	return ""
}

// RefusedPods returns the condition that explains why the pods of a Deployment cannot be created, or nil.
func RefusedPods(deployment *appsv1.Deployment) *appsv1.DeploymentCondition {
	for i, condition := range deployment.Status.Conditions {
		if condition.Type == appsv1.DeploymentReplicaFailure && condition.Status == corev1.ConditionTrue {
			return &deployment.Status.Conditions[i]
		}
	}
	return nil
}

// IsRefusedByLimitRange reports whether a message is about a pod that a LimitRange refuses. Such a message does not name the LimitRange.
func IsRefusedByLimitRange(message string) bool {
	return slices.ContainsFunc(LimitRangePhrases, func(phrase string) bool { return strings.Contains(message, phrase) })
}

// LimitRangePhrases are texts of the admission plugin LimitRanger. Each of its messages contains at least one of them.
var LimitRangePhrases = []string{"usage per Container is", "usage per Pod is", "limit to request ratio per Container is", "limit to request ratio per Pod is"}
