package observation

import (
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// Annotations and reasons of the Deployment controller (k8s.io/kubernetes/pkg/controller/deployment/util).
const (
	AnnotationRevision     = "deployment.kubernetes.io/revision"
	FirstRevision          = "1"
	ReasonRolloutCompleted = "NewReplicaSetAvailable"
	ReasonRolloutStuck     = "ProgressDeadlineExceeded"
)

// ReplicasOf is what a Deployment is set to.
func ReplicasOf(deployment *appsv1.Deployment) int32 { return ptr.Deref(deployment.Spec.Replicas, 1) }

// IsUnobserved tells whether a Deployment has changed since its controller looked at it last, so that its status is
// still about what was before.
func IsUnobserved(deployment appsv1.Deployment) bool {
	return deployment.Status.ObservedGeneration < deployment.Generation
}

// IsRollingOut tells whether some pods of a Deployment do not have its current template.
func IsRollingOut(deployment appsv1.Deployment) bool {
	return deployment.Status.UpdatedReplicas < deployment.Status.Replicas
}

// RolloutCompleted tells whether all pods have the template of a Deployment, as observed last, and have once been available. Pods
// that are added or fail later are no rollout, which is why their number is not compared with spec.replicas.
func RolloutCompleted(deployment *appsv1.Deployment) bool {
	reason := ProgressingReason(deployment)
	return deployment.Status.UpdatedReplicas >= deployment.Status.Replicas && (reason == "" || reason == ReasonRolloutCompleted)
}

func ProgressingReason(deployment *appsv1.Deployment) string {
	for _, condition := range deployment.Status.Conditions {
		if condition.Type == appsv1.DeploymentProgressing {
			return condition.Reason
		}
	}
	return ""
}

// RefusedPods returns the condition of a Deployment that says why its pods cannot be created, or nil.
func RefusedPods(deployment *appsv1.Deployment) *appsv1.DeploymentCondition {
	for i, condition := range deployment.Status.Conditions {
		if condition.Type == appsv1.DeploymentReplicaFailure && condition.Status == corev1.ConditionTrue {
			return &deployment.Status.Conditions[i]
		}
	}
	return nil
}

// IsRefusedByLimitRange tells whether a message says that a LimitRange refuses a pod. Such a message does not name the LimitRange.
func IsRefusedByLimitRange(message string) bool {
	return slices.ContainsFunc(LimitRangePhrases, func(phrase string) bool { return strings.Contains(message, phrase) })
}

// LimitRangePhrases are in the messages of the admission plugin LimitRanger, at least one of them in each.
var LimitRangePhrases = []string{"usage per Container is", "usage per Pod is", "limit to request ratio per Container is", "limit to request ratio per Pod is"}
