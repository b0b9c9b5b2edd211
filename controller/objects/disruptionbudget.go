package objects

import (
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	policyv1ac "k8s.io/client-go/applyconfigurations/policy/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

// DisruptionBudget returns the desired PodDisruptionBudget of a shard. Evictions take one replica at a time. With two replicas, one
// survives any drain, and a single replica never blocks a drain.
func DisruptionBudget(ksmScale *v1alpha1.KSMScale, shard v1alpha1.Shard) *policyv1ac.PodDisruptionBudgetApplyConfiguration {
	return describe(ksmScale, policyv1ac.PodDisruptionBudget(shard.Name(), ksmScale.Spec.Namespace), ShardLabels(ksmScale, shard)).
		WithSpec(policyv1ac.PodDisruptionBudgetSpec().
			WithSelector(shardSelector(shard)).
			WithMaxUnavailable(intstr.FromInt32(1)).
			WithUnhealthyPodEvictionPolicy(policyv1.AlwaysAllow))
}
