package controller

import (
	"cmp"
	"errors"
	"fmt"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

// autoscaling is False while the way from the nodes to the replicas is interrupted: external metrics registered
// to someone else, the adapter not available, or a HorizontalPodAutoscaler that cannot act.
func autoscaling(in conditionInput) metav1.Condition {
	is := metav1.Condition{Type: v1alpha1.ConditionAutoscaling, Status: metav1.ConditionFalse}
	if is.Reason, is.Message = unregistered(in.observed.apiService, in.adapter, in.registrationErr); is.Reason != "" {
		return is
	}
	if is.Reason, is.Message = stuckAutoscaler(in.observed.autoscalers); is.Reason != "" {
		return is
	}
	if starting(in) {
		is.Status, is.Reason, is.Message = metav1.ConditionUnknown, v1alpha1.ReasonStarting, "Not every HorizontalPodAutoscaler has acted yet"
		return is
	}
	is.Status = metav1.ConditionTrue
	if toleranceIgnored(in.observed.autoscalers) {
		is.Reason = v1alpha1.ReasonToleranceIgnored
		is.Message = "Replicas follow the nodes, but this API server drops behavior.scaleUp.tolerance and scaleDown.tolerance of HorizontalPodAutoscalers, so that from 10 replicas of a shard up, steps of less than a tenth are not acted on: use Kubernetes 1.35 or newer, or its feature gate HPAConfigurableTolerance"
		return is
	}
	is.Reason, is.Message = following(in)
	return is
}

func unregistered(apiService *apiregistrationv1.APIService, adapter ServiceReference, err error) (reason, message string) {
	switch {
	case apiService == nil && apierrors.IsForbidden(err):
		return v1alpha1.ReasonForbidden, "External metrics cannot be registered: " + err.Error()
	case apiService == nil && err != nil:
		return v1alpha1.ReasonRegistrationFailed, "External metrics cannot be registered: " + err.Error()
	case apiService == nil:
		return v1alpha1.ReasonStarting, fmt.Sprintf("APIService %s does not exist yet", APIServiceName)
	case !adapter.serves(apiService):
		return v1alpha1.ReasonForeignAPIService, fmt.Sprintf(
			"External metrics are served by %s, which does not know those of KSMScale, and a cluster can have only one such server: replicas stay as they are. To let them follow the nodes, delete APIService %s together with what installed it; it is never taken over",
			servedBy(apiService), APIServiceName)
	}
	for _, condition := range apiService.Status.Conditions {
		if condition.Type == apiregistrationv1.Available && condition.Status != apiregistrationv1.ConditionTrue {
			return cmp.Or(condition.Reason, v1alpha1.ReasonStarting), fmt.Sprintf("APIService %s is not available, so that replicas stay as they are: %s", APIServiceName, errors.Join(errors.New(condition.Message), err))
		}
	}
	return "", ""
}

func servedBy(apiService *apiregistrationv1.APIService) string {
	if apiService.Spec.Service == nil {
		return "the API server itself"
	}
	return fmt.Sprintf("Service %s/%s", apiService.Spec.Service.Namespace, apiService.Spec.Service.Name)
}

func stuckAutoscaler(autoscalers []autoscalingv2.HorizontalPodAutoscaler) (reason, message string) {
	for _, autoscaler := range byName(autoscalers) {
		for _, condition := range autoscaler.Status.Conditions {
			needed := condition.Type == autoscalingv2.AbleToScale || condition.Type == autoscalingv2.ScalingActive
			if needed && condition.Status == corev1.ConditionFalse {
				return condition.Reason, fmt.Sprintf("HorizontalPodAutoscaler %s: %s%s", autoscaler.Name, condition.Message, wayOut(condition.Reason, autoscaler))
			}
		}
	}
	return "", ""
}

// wayOut says how to go on after a Deployment was scaled to 0 by hand, which switches its autoscaler off.
func wayOut(reason string, autoscaler *autoscalingv2.HorizontalPodAutoscaler) string {
	if reason != "ScalingDisabled" {
		return ""
	}
	return fmt.Sprintf("; kubectl -n %s scale deployment %s --replicas=1 switches it on again", autoscaler.Namespace, autoscaler.Spec.ScaleTargetRef.Name)
}

func starting(in conditionInput) bool {
	made := sets.New[string]()
	for _, autoscaler := range in.observed.autoscalers {
		made.Insert(autoscaler.Name)
	}
	for _, shard := range in.planned.Shards {
		if !made.Has(shard.Name()) {
			return true
		}
	}
	for _, autoscaler := range in.observed.autoscalers {
		if len(autoscaler.Status.Conditions) == 0 {
			return true
		}
	}
	return false
}

// toleranceIgnored tells whether some HorizontalPodAutoscaler lacks a tolerance, which ours never do when sent.
func toleranceIgnored(autoscalers []autoscalingv2.HorizontalPodAutoscaler) bool {
	for _, autoscaler := range autoscalers {
		behavior := autoscaler.Spec.Behavior
		if behavior == nil || behavior.ScaleUp == nil || behavior.ScaleUp.Tolerance == nil ||
			behavior.ScaleDown == nil || behavior.ScaleDown.Tolerance == nil {
			return true
		}
	}
	return false
}
