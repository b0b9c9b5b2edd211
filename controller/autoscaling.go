package controller

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

// autoscaling is False while the way from the nodes to the replicas is interrupted.
func autoscaling(in conditionInput) metav1.Condition {
	condition := scaledBy(in)
	if err := in.observed.foreign.err; err != nil && condition.Status == metav1.ConditionTrue {
		condition.Message += "; HorizontalPodAutoscalers of others cannot be listed, so a new one is not noticed: " + err.Error()
	}
	condition.Message += notLetGo(in.registrationErr)
	return condition
}

// notLetGo warns of an APIService that another adapter has taken and that is still deleted with our installation; empty if none is.
func notLetGo(err error) string {
	var failed letGoError
	if !errors.As(err, &failed) {
		return ""
	}
	return fmt.Sprintf("; uninstalling KSMScale would delete APIService %s, which another adapter has taken, because the controller cannot remove its owner reference (%v): "+
		`grant what is missing, or run kubectl patch apiservice %s --type=merge -p '{"metadata":{"ownerReferences":null}}' before you uninstall`,
		APIServiceName, failed.err, APIServiceName)
}

func scaledBy(in conditionInput) metav1.Condition {
	switch in.ksmScale.Spec.AutoscalingMode() {
	case v1alpha1.ModeDirect:
		return directScaling(in)
	case v1alpha1.ModeNone:
		return manualScaling(in)
	default:
		return autoscalersAct(in)
	}
}

// directScaling is False while the controller cannot scale. It does not matter who serves external metrics.
func directScaling(in conditionInput) metav1.Condition {
	is := metav1.Condition{Type: v1alpha1.ConditionAutoscaling, Status: metav1.ConditionFalse}
	foreign := foreignAutoscaler(in, "until then KSMScale does not scale it")
	if look := in.observed.foreign; look.unknown {
		return unlisted(in, is.Type, metav1.ConditionFalse, "The controller does not scale the shards until it has listed HorizontalPodAutoscalers of others", look.err)
	}
	switch err := in.failed.scale; {
	case apierrors.IsForbidden(err):
		is.Reason, is.Message = v1alpha1.ReasonForbidden, err.Error()
	case err != nil:
		is.Reason, is.Message = v1alpha1.ReasonScaleFailed, err.Error()
	case foreign != "":
		is.Reason, is.Message = v1alpha1.ReasonForeignAutoscaler, foreign
	default:
		is.Status = metav1.ConditionTrue
		is.Reason, is.Message = following(in)
		is.Message = "The controller scales the shards. " + is.Message
	}
	return is
}

func manualScaling(in conditionInput) metav1.Condition {
	is := metav1.Condition{
		Type: v1alpha1.ConditionAutoscaling, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonManualScaling,
		Message: "spec.autoscaling.mode None leaves the replicas to others; external metric " + v1alpha1.MetricDesiredReplicas + " says how many are wanted of each shard",
	}
	for _, deployment := range slices.Sorted(maps.Keys(in.observed.foreign.names)) {
		is.Message += fmt.Sprintf("; %s scales Deployment %s", strings.Join(in.observed.foreign.names[deployment], " and "), deployment)
	}
	return is
}

// foreignAutoscaler names someone else's autoscaler of a Deployment, and the ways out; empty if there is none.
func foreignAutoscaler(in conditionInput, meanwhile string) string {
	deployments := slices.Sorted(maps.Keys(in.observed.foreign.names))
	if len(deployments) == 0 {
		return ""
	}
	return fmt.Sprintf("%s scales Deployment %s as well: delete it, or set spec.autoscaling.mode to None to leave the replicas to it; %s",
		strings.Join(in.observed.foreign.names[deployments[0]], " and "), deployments[0], meanwhile)
}

// autoscalersAct is False while external metrics are registered to someone else, the adapter is not available, or a
// HorizontalPodAutoscaler cannot act.
func autoscalersAct(in conditionInput) metav1.Condition {
	is := metav1.Condition{Type: v1alpha1.ConditionAutoscaling, Status: metav1.ConditionFalse}
	if is.Reason, is.Message = unregistered(in.observed.apiService, in.adapter, in.registrationErr); is.Reason != "" {
		return is
	}
	if message := foreignAutoscaler(in, "until then neither acts"); message != "" {
		is.Reason, is.Message = v1alpha1.ReasonForeignAutoscaler, message
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
		is.Message = "Replicas follow the nodes, but this API server drops behavior.scaleUp.tolerance and scaleDown.tolerance of HorizontalPodAutoscalers, so that from 10 replicas of a shard up, steps of a tenth or less are not made: set spec.autoscaling.mode to Direct, or use Kubernetes 1.35 or newer, or its feature gate HPAConfigurableTolerance from 1.33 on"
		return is
	}
	is.Reason, is.Message = following(in)
	return is
}

func unregistered(apiService *apiregistrationv1.APIService, adapter ServiceReference, err error) (reason, message string) {
	switch {
	case errors.Is(err, errExternalMetricsOff):
		return v1alpha1.ReasonRegistrationFailed, err.Error() + ": set spec.autoscaling.mode to Direct or None"
	case apiService == nil && apierrors.IsForbidden(err):
		return v1alpha1.ReasonForbidden, "External metrics cannot be registered: " + err.Error()
	case apiService == nil && err != nil:
		return v1alpha1.ReasonRegistrationFailed, "External metrics cannot be registered: " + err.Error()
	case apiService == nil:
		return v1alpha1.ReasonRegistrationPending, fmt.Sprintf("APIService %s does not exist yet", APIServiceName)
	case !adapter.serves(apiService):
		return v1alpha1.ReasonForeignAPIService, foreign(apiService)
	}
	for _, condition := range apiService.Status.Conditions {
		if condition.Type == apiregistrationv1.Available && condition.Status != apiregistrationv1.ConditionTrue {
			return cmp.Or(condition.Reason, v1alpha1.ReasonRegistrationPending), fmt.Sprintf("APIService %s is not available, so that replicas stay as they are: %s", APIServiceName, errors.Join(errors.New(condition.Message), err))
		}
	}
	return "", ""
}

// foreign says who serves external metrics instead of the adapter, and all that can be done about it.
func foreign(apiService *apiregistrationv1.APIService) string {
	server, inFront := "the API server itself", ""
	if by := apiService.Spec.Service; by != nil {
		server = fmt.Sprintf("Service %s/%s", by.Namespace, by.Name)
		// The API server has this default, too.
		port := int32(443)
		if by.Port != nil {
			port = *by.Port
		}
		inFront = fmt.Sprintf("or keep that one and put KSMScale's adapter in front of it, with its flag --delegate=%s/%s:%d (docs/delegate.md); ", by.Namespace, by.Name, port)
	}
	return fmt.Sprintf("External metrics are served by %s, which does not know those of KSMScale, and a cluster can have only one such server: replicas stay as they are. APIService %s is never taken over. "+
		"To let replicas follow the nodes, delete it together with what installed it; %sor set spec.autoscaling.mode to Direct, which needs no external metrics",
		server, APIServiceName, inFront)
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
