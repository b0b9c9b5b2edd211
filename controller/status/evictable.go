package status

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

// evictableCondition is False while a second PodDisruptionBudget selects pods of a shard. The API server then refuses to evict those
// pods, and a drain of their node does not end. This condition is a warning and does not affect Ready.
func evictableCondition(in conditionInput) metav1.Condition {
	condition := metav1.Condition{Type: v1alpha1.ConditionEvictable, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSinglePodDisruptionBudget}
	budgets := in.Snapshot.ForeignBudgets
	deployments := slices.Sorted(maps.Keys(budgets.Names))
	switch {
	case budgets.Unknown:
		return unlisted(in, condition.Type, metav1.ConditionUnknown, "The controller has not listed PodDisruptionBudgets of others", budgets.Err)
	case len(deployments) > 0:
		condition.Status, condition.Reason = metav1.ConditionFalse, v1alpha1.ReasonMultiplePodDisruptionBudgets
		condition.Message = fmt.Sprintf("PodDisruptionBudget %s selects the pods of Deployment %s, which already have a PodDisruptionBudget of KSMScale. "+
			"The API server refuses to evict a pod with two, so a drain of its node does not end: delete that PodDisruptionBudget, or change its selector",
			strings.Join(budgets.Names[deployments[0]], " and "), deployments[0])
	default:
		condition.Message = "Each pod has one PodDisruptionBudget"
	}
	condition.Message += unnoticed("PodDisruptionBudgets of others", budgets.Err)
	return condition
}
