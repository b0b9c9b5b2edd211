package status

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

// evictable is False while a second PodDisruptionBudget selects pods of a shard. The API server refuses to evict them then, and a drain
// of their node does not end. It is a warning: Ready is not derived from it.
func evictable(in conditionInput) metav1.Condition {
	condition := metav1.Condition{Type: v1alpha1.ConditionEvictable, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSinglePodDisruptionBudget}
	budgets := in.Snapshot.ForeignBudgets
	deployments := slices.Sorted(maps.Keys(budgets.Names))
	switch {
	case budgets.Unknown:
		return unlisted(in, condition.Type, metav1.ConditionUnknown, "PodDisruptionBudgets of others have not been listed", budgets.Err)
	case len(deployments) > 0:
		condition.Status, condition.Reason = metav1.ConditionFalse, v1alpha1.ReasonMultiplePodDisruptionBudgets
		condition.Message = fmt.Sprintf("PodDisruptionBudget %s selects the pods of Deployment %s, which already have one from KSMScale. "+
			"The API server refuses to evict a pod with two, so a drain of its node does not end: delete that PodDisruptionBudget, or change its selector",
			strings.Join(budgets.Names[deployments[0]], " and "), deployments[0])
	default:
		condition.Message = "Each pod has one PodDisruptionBudget"
	}
	if budgets.Err != nil && !budgets.Unknown {
		condition.Message += "; PodDisruptionBudgets of others cannot be listed, so a new one is not noticed: " + budgets.Err.Error()
	}
	return condition
}
