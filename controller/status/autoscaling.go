package status

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
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"k8s.io/kube-aggregator/pkg/apis/apiregistration/v1/helper"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/controller/observation"
)

// autoscalingCondition is False while replicas cannot follow the nodes.
func autoscalingCondition(in conditionInput) metav1.Condition {
	condition := scaledBy(in)
	if before := meta.FindStatusCondition(in.KSMScale.Status.Conditions, condition.Type); before != nil && condition == *before {
		return condition // It stays until the first list, and its message has the remarks already.
	}
	if condition.Status == metav1.ConditionTrue {
		condition.Message += unnoticed("HorizontalPodAutoscalers of others", in.Snapshot.ForeignAutoscalers.Err)
	}
	condition.Message += notReleased(in.ExternalMetrics.ReleaseErr)
	return condition
}

// notReleased warns about an APIService that another adapter has taken and that uninstalling KSMScale would delete. It is empty if there
// is no such APIService.
func notReleased(err error) string {
	if err == nil {
		return ""
	}
	return fmt.Sprintf("; uninstalling KSMScale would delete APIService %s of another adapter, because the controller cannot remove its owner reference (%v): "+
		`grant the missing right, or run kubectl patch apiservice %s --type=merge -p '{"metadata":{"ownerReferences":null}}' before you uninstall`,
		v1alpha1.APIServiceName, err, v1alpha1.APIServiceName)
}

// scaledBy returns the condition for the mode, without remarks that hold in every mode.
func scaledBy(in conditionInput) metav1.Condition {
	switch in.KSMScale.Spec.AutoscalingMode() {
	case v1alpha1.ModeDirect:
		return directScaling(in)
	case v1alpha1.ModeNone:
		return manualScaling(in)
	default:
		return autoscalersAct(in)
	}
}

// directScaling is False while the controller cannot scale. External metrics do not matter in this mode.
func directScaling(in conditionInput) metav1.Condition {
	condition := metav1.Condition{Type: v1alpha1.ConditionAutoscaling, Status: metav1.ConditionFalse}
	foreignMessage := foreignAutoscaler(in, "until then KSMScale does not scale that Deployment")
	if listed := in.Snapshot.ForeignAutoscalers; listed.Unknown {
		return unlisted(in, condition.Type, metav1.ConditionFalse, "The controller does not scale the shards until it has listed HorizontalPodAutoscalers of others", listed.Err)
	}
	switch err := in.Failures.Scale; {
	case apierrors.IsForbidden(err):
		condition.Reason, condition.Message = v1alpha1.ReasonForbidden, err.Error()
	case err != nil:
		condition.Reason, condition.Message = v1alpha1.ReasonScaleFailed, err.Error()
	case foreignMessage != "":
		condition.Reason, condition.Message = v1alpha1.ReasonForeignAutoscaler, foreignMessage
	default:
		condition.Status = metav1.ConditionTrue
		condition.Reason, condition.Message = following(in)
		condition.Message = "The controller scales the shards. " + condition.Message
	}
	return condition
}

// untilListed returns the previous condition if it has a reason that names autoscalers of others, and a new leader has not listed these
// yet. Otherwise it returns nil.
func untilListed(in conditionInput, reason string) *metav1.Condition {
	listed, before := in.Snapshot.ForeignAutoscalers, meta.FindStatusCondition(in.KSMScale.Status.Conditions, v1alpha1.ConditionAutoscaling)
	if listed.Unknown && listed.Err == nil && before != nil && before.Reason == reason {
		return before
	}
	return nil
}

// manualScaling is True: replicas are left to others on purpose.
func manualScaling(in conditionInput) metav1.Condition {
	if before := untilListed(in, v1alpha1.ReasonManualScaling); before != nil {
		return *before
	}
	condition := metav1.Condition{
		Type: v1alpha1.ConditionAutoscaling, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonManualScaling,
		Message: "spec.autoscaling.mode None leaves the replicas to others; external metric " + v1alpha1.MetricDesiredReplicas + " has the desired replicas of each shard",
	}
	for _, deployment := range slices.Sorted(maps.Keys(in.Snapshot.ForeignAutoscalers.Names)) {
		condition.Message += fmt.Sprintf("; %s scales Deployment %s", strings.Join(in.Snapshot.ForeignAutoscalers.Names[deployment], " and "), deployment)
	}
	return condition
}

// autoscalersAct is False in three cases: another server is registered for external metrics, the adapter is not available, or a
// HorizontalPodAutoscaler cannot act.
func autoscalersAct(in conditionInput) metav1.Condition {
	condition := metav1.Condition{Type: v1alpha1.ConditionAutoscaling, Status: metav1.ConditionFalse}
	if condition.Reason, condition.Message = unregistered(in.Snapshot.APIService, in.Adapter, in.ExternalMetrics); condition.Reason != "" {
		return condition
	}
	if before := untilListed(in, v1alpha1.ReasonForeignAutoscaler); before != nil {
		return *before
	}
	if message := foreignAutoscaler(in, "until then neither autoscaler acts"); message != "" {
		condition.Reason, condition.Message = v1alpha1.ReasonForeignAutoscaler, message
		return condition
	}
	if condition.Reason, condition.Message = stuckAutoscaler(in.Snapshot.Autoscalers); condition.Reason != "" {
		return condition
	}
	if autoscalersStarting(in) {
		condition.Status, condition.Reason, condition.Message = metav1.ConditionUnknown, v1alpha1.ReasonStarting, "Not every HorizontalPodAutoscaler has acted yet"
		return condition
	}
	condition.Status = metav1.ConditionTrue
	if observation.ToleranceIgnored(in.Snapshot.Autoscalers) {
		condition.Reason = v1alpha1.ReasonToleranceIgnored
		condition.Message = "Replicas follow the nodes, but this API server drops behavior.scaleUp.tolerance and behavior.scaleDown.tolerance of HorizontalPodAutoscalers. " +
			"From 10 replicas of a shard up, HorizontalPodAutoscalers skip steps of a tenth or less: set spec.autoscaling.mode to Direct, or use Kubernetes 1.35 or newer, or enable feature gate HPAConfigurableTolerance on 1.33 or 1.34"
		return condition
	}
	condition.Reason, condition.Message = following(in)
	return condition
}

// unregistered explains why the adapter does not serve external metrics; empty if it does.
func unregistered(apiService *apiregistrationv1.APIService, adapter v1alpha1.ServiceReference, registration ExternalMetrics) (reason, message string) {
	err := registration.Err
	switch {
	case registration.Disabled:
		return v1alpha1.ReasonRegistrationFailed, err.Error() + ": set spec.autoscaling.mode to Direct or None"
	case apiService == nil && apierrors.IsForbidden(err):
		return v1alpha1.ReasonForbidden, "The controller cannot register external metrics: " + err.Error()
	case apiService == nil && err != nil:
		return v1alpha1.ReasonRegistrationFailed, "The controller cannot register external metrics: " + err.Error()
	case apiService == nil:
		return v1alpha1.ReasonRegistrationPending, fmt.Sprintf("APIService %s does not exist yet", v1alpha1.APIServiceName)
	case !objects.IsServedBy(apiService, adapter):
		return v1alpha1.ReasonForeignAPIService, foreignServer(apiService)
	}
	if condition := helper.GetAPIServiceConditionByType(apiService, apiregistrationv1.Available); condition != nil && condition.Status != apiregistrationv1.ConditionTrue {
		return cmp.Or(condition.Reason, v1alpha1.ReasonRegistrationPending), fmt.Sprintf("APIService %s is not available, so replicas stay as they are: %s", v1alpha1.APIServiceName, errors.Join(errors.New(condition.Message), err))
	}
	return "", ""
}

// foreignServer names the server that serves external metrics instead of the adapter, and every fix.
func foreignServer(apiService *apiregistrationv1.APIService) string {
	server, inFront := "the API server itself", ""
	if service := apiService.Spec.Service; service != nil {
		server = fmt.Sprintf("Service %s/%s", service.Namespace, service.Name)
		// The API server has the same default.
		port := int32(443)
		if service.Port != nil {
			port = *service.Port
		}
		inFront = fmt.Sprintf("or keep that server and put KSMScale's adapter in front of it, with the adapter's flag --delegate=%s/%s:%d (docs/delegate.md); ", service.Namespace, service.Name, port)
	}
	return fmt.Sprintf("External metrics are served by %s, which does not know the metrics of KSMScale. A cluster can have only one such server, so replicas stay as they are. The controller never takes over APIService %s. "+
		"To let replicas follow the nodes, delete that APIService and the software that installed it; %sor set spec.autoscaling.mode to Direct, which needs no external metrics",
		server, v1alpha1.APIServiceName, inFront)
}

// foreignAutoscaler names an autoscaler of others that scales a Deployment, and the fixes; empty if there is none.
func foreignAutoscaler(in conditionInput, meanwhile string) string {
	deployments := slices.Sorted(maps.Keys(in.Snapshot.ForeignAutoscalers.Names))
	if len(deployments) == 0 {
		return ""
	}
	return fmt.Sprintf("%s scales Deployment %s as well: delete it, or set spec.autoscaling.mode to None to leave the replicas to it; %s",
		strings.Join(in.Snapshot.ForeignAutoscalers.Names[deployments[0]], " and "), deployments[0], meanwhile)
}

// stuckAutoscaler returns the first condition, by name, that keeps a HorizontalPodAutoscaler from acting; empty if there is none.
func stuckAutoscaler(autoscalers []autoscalingv2.HorizontalPodAutoscaler) (reason, message string) {
	for _, autoscaler := range observation.SortedByName(autoscalers) {
		for _, condition := range autoscaler.Status.Conditions {
			needed := condition.Type == autoscalingv2.AbleToScale || condition.Type == autoscalingv2.ScalingActive
			if needed && condition.Status == corev1.ConditionFalse {
				return condition.Reason, fmt.Sprintf("HorizontalPodAutoscaler %s: %s%s", autoscaler.Name, condition.Message, wayOut(condition.Reason, autoscaler))
			}
		}
	}
	return "", ""
}

// wayOut is the fix after someone has scaled a Deployment to 0, which switches its autoscaler off.
func wayOut(reason string, autoscaler *autoscalingv2.HorizontalPodAutoscaler) string {
	if reason != "ScalingDisabled" {
		return ""
	}
	return fmt.Sprintf("; kubectl -n %s scale deployment %s --replicas=1 switches it on again", autoscaler.Namespace, autoscaler.Spec.ScaleTargetRef.Name)
}

// autoscalersStarting reports whether some shard has no HorizontalPodAutoscaler yet, or some HorizontalPodAutoscaler has not acted yet.
func autoscalersStarting(in conditionInput) bool {
	existing := sets.New[string]()
	for _, autoscaler := range in.Snapshot.Autoscalers {
		existing.Insert(autoscaler.Name)
	}
	for _, shard := range in.Planned.Shards {
		if !existing.Has(shard.Name()) {
			return true
		}
	}
	for _, autoscaler := range in.Snapshot.Autoscalers {
		if len(autoscaler.Status.Conditions) == 0 {
			return true
		}
	}
	return false
}

// following describes how replicas follow the nodes while autoscaling works.
func following(in conditionInput) (reason, message string) {
	switch {
	case in.KSMScale.Spec.Strategy() != v1alpha1.LeastLoaded:
		return v1alpha1.ReasonFollowingNodes, "Replicas follow the nodes"
	case in.Planned.KSMScale.Status.WeightsOf(in.Planned.Total) == nil:
		return v1alpha1.ReasonLoadNotMeasured, "Replicas follow the nodes. The controller divides them round-robin until it has measured the load of every shard for long enough"
	default:
		return v1alpha1.ReasonLeastLoaded, "Replicas follow the nodes. The controller divides them by the measured load, with the weights in status.shardingStatus"
	}
}
