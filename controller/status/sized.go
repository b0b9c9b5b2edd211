package status

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

// sizedConditions has a condition that is False while a VerticalPodAutoscaler replaces the resources which KSMScale or the user sets. It
// is empty if only KSMScale or the user sets resources. The previous condition stays until the first list. This condition is a warning and
// does not affect Ready.
func sizedConditions(in conditionInput) []metav1.Condition {
	condition := metav1.Condition{Type: v1alpha1.ConditionSized}
	autoscalers, spec := in.Snapshot.VerticalAutoscalers, in.KSMScale.Spec
	deployments, before := slices.Sorted(maps.Keys(autoscalers.Names)), meta.FindStatusCondition(in.KSMScale.Status.Conditions, condition.Type)
	isSet := len(spec.Resources.Requests) > 0 || len(spec.Resources.Limits) > 0
	switch {
	case len(deployments) > 0 && spec.AutoResources != nil:
		condition.Message = "spec.autoResources has no effect on these pods, and both replace pods: delete that VerticalPodAutoscaler, set its updateMode to Off, or remove spec.autoResources to leave the resources to it"
	case len(deployments) > 0 && isSet:
		condition.Message = "The pods do not have the resources of spec.resources: delete that VerticalPodAutoscaler, set its updateMode to Off, or remove spec.resources to leave the resources to it"
	case autoscalers.Unknown && autoscalers.Err == nil && before != nil:
		return []metav1.Condition{*before}
	case spec.AutoResources == nil:
		return nil
	case autoscalers.Unknown:
		return []metav1.Condition{unlisted(in, condition.Type, metav1.ConditionUnknown, "The controller has not listed VerticalPodAutoscalers", autoscalers.Err)}
	default:
		condition.Status, condition.Reason = metav1.ConditionTrue, v1alpha1.ReasonFollowingUsage
		condition.Message = "Requests and limits of the pods follow what kube-state-metrics uses"
	}
	if condition.Reason == "" {
		condition.Status, condition.Reason = metav1.ConditionFalse, v1alpha1.ReasonForeignVerticalPodAutoscaler
		condition.Message = fmt.Sprintf("VerticalPodAutoscaler %s changes the resources of the pods of Deployment %s. %s",
			strings.Join(autoscalers.Names[deployments[0]], " and "), deployments[0], condition.Message)
	}
	condition.Message += unnoticed("VerticalPodAutoscalers", autoscalers.Err)
	return []metav1.Condition{condition}
}
