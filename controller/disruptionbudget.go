package controller

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	policyv1ac "k8s.io/client-go/applyconfigurations/policy/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

// disruptionBudget is the wanted PodDisruptionBudget of a shard: evictions take one replica at a time, so that two
// replicas survive any drain, and a single one never blocks it.
func disruptionBudget(ksmScale *v1alpha1.KSMScale, shard v1alpha1.Shard) *policyv1ac.PodDisruptionBudgetApplyConfiguration {
	return describe(ksmScale, policyv1ac.PodDisruptionBudget(shard.Name(), ksmScale.Spec.Namespace), shardLabels(ksmScale, shard)).
		WithSpec(policyv1ac.PodDisruptionBudgetSpec().
			WithSelector(selector(shard)).
			WithMaxUnavailable(intstr.FromInt32(1)).
			WithUnhealthyPodEvictionPolicy(policyv1.AlwaysAllow))
}

// evictable is False while a second PodDisruptionBudget selects pods of a shard. The API server refuses to evict them then, and a drain
// of their node does not end. It is a warning: Ready is not derived from it.
func evictable(in conditionInput) metav1.Condition {
	condition := metav1.Condition{Type: v1alpha1.ConditionEvictable, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSinglePodDisruptionBudget}
	budgets := in.observed.budgets
	deployments := slices.Sorted(maps.Keys(budgets.names))
	switch {
	case budgets.unknown:
		return unlisted(in, condition.Type, metav1.ConditionUnknown, "PodDisruptionBudgets of others have not been listed", budgets.err)
	case len(deployments) > 0:
		condition.Status, condition.Reason = metav1.ConditionFalse, v1alpha1.ReasonMultiplePodDisruptionBudgets
		condition.Message = fmt.Sprintf("PodDisruptionBudget %s selects the pods of Deployment %s, which already have one from KSMScale. "+
			"The API server refuses to evict a pod with two, so a drain of its node does not end: delete that PodDisruptionBudget, or change its selector",
			strings.Join(budgets.names[deployments[0]], " and "), deployments[0])
	default:
		condition.Message = "Each pod has one PodDisruptionBudget"
	}
	if budgets.err != nil && !budgets.unknown {
		condition.Message += "; PodDisruptionBudgets of others cannot be listed, so a new one is not noticed: " + budgets.err.Error()
	}
	return condition
}
