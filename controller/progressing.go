package controller

import (
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

// progressing is False when something keeps the wanted objects or pods from being made, and True otherwise,
// whether work is under way or none is left.
func progressing(in conditionInput) metav1.Condition {
	is := metav1.Condition{Type: v1alpha1.ConditionProgressing, Status: metav1.ConditionFalse}
	if in.applyErr != nil {
		is.Reason, is.Message = applyFailure(in.applyErr, in.ksmScale.Spec.Namespace)
		return is
	}
	if is.Reason, is.Message = stuckContainer(in.observed.pods); is.Reason != "" {
		return is
	}
	if is.Reason, is.Message = stuckDeployment(in.observed.deployments); is.Reason != "" {
		return is
	}

	is.Status = metav1.ConditionTrue
	switch {
	case rollingOut(in.observed.deployments):
		is.Reason, is.Message = v1alpha1.ReasonRollingOut, "Pods are being replaced by pods of the current template"
	case in.status.Phase != v1alpha1.PhaseReady && in.status.CurrentReplicas != in.status.DesiredReplicas:
		is.Reason = v1alpha1.ReasonScaling
		is.Message = fmt.Sprintf("%d pods of the %d wanted", in.status.CurrentReplicas, in.status.DesiredReplicas)
	case in.status.Phase == v1alpha1.PhaseScaling:
		is.Reason, is.Message = v1alpha1.ReasonScaling, "The shards' pods are not yet divided as is wanted"
	default:
		is.Reason = v1alpha1.ReasonComplete
		is.Message = fmt.Sprintf("%d pods, as many as are wanted", in.status.CurrentReplicas)
	}
	return is
}

func applyFailure(err error, namespace string) (reason, message string) {
	var notOwned notOwnedError
	switch {
	case apierrors.IsNotFound(err):
		return v1alpha1.ReasonNamespaceNotFound,
			fmt.Sprintf("spec.namespace %q does not exist: create it, or create a KSMScale for another namespace", namespace)
	case apierrors.IsForbidden(err):
		return v1alpha1.ReasonForbidden, err.Error()
	case errors.As(err, &notOwned):
		return v1alpha1.ReasonNotOwned, err.Error()
	default:
		return v1alpha1.ReasonApplyFailed, err.Error()
	}
}

// startFailures has, under each reason for which a container waits in vain, the reason that the condition gives.
// The kubelet alternates between trying and backing off; that is one reason here, so that the status does not
// alternate with it.
var startFailures = map[string]string{
	"ErrImagePull":               "ImagePullBackOff",
	"ImagePullBackOff":           "ImagePullBackOff",
	"ErrImageNeverPull":          "ErrImageNeverPull",
	"InvalidImageName":           "InvalidImageName",
	"CrashLoopBackOff":           "CrashLoopBackOff",
	"RunContainerError":          "RunContainerError",
	"CreateContainerError":       "CreateContainerError",
	"CreateContainerConfigError": "CreateContainerConfigError",
}

func stuckContainer(pods []corev1.Pod) (reason, message string) {
	for _, pod := range byName(pods) {
		for _, container := range pod.Status.ContainerStatuses {
			if container.State.Waiting == nil || !isActive(pod) {
				continue
			}
			if reason := startFailures[container.State.Waiting.Reason]; reason != "" {
				return reason, fmt.Sprintf("Container %s of pod %s, image %s: %s",
					container.Name, pod.Name, container.Image, container.State.Waiting.Message)
			}
		}
	}
	return "", ""
}

func stuckDeployment(deployments []appsv1.Deployment) (reason, message string) {
	for _, deployment := range byName(deployments) {
		for _, condition := range deployment.Status.Conditions {
			failed := condition.Type == appsv1.DeploymentReplicaFailure && condition.Status == corev1.ConditionTrue
			late := condition.Type == appsv1.DeploymentProgressing && condition.Status == corev1.ConditionFalse
			if failed || late {
				return condition.Reason, fmt.Sprintf("Deployment %s: %s", deployment.Name, condition.Message)
			}
		}
	}
	return "", ""
}

func rollingOut(deployments []appsv1.Deployment) bool {
	for _, deployment := range deployments {
		if deployment.Status.UpdatedReplicas < deployment.Status.Replicas {
			return true
		}
	}
	return false
}
