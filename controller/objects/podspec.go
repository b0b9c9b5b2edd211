package objects

import (
	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/scaling"
)

func podSpec(ksmScale *v1alpha1.KSMScale, planned scaling.Shard, gateOptions GateOptions) *corev1ac.PodSpecApplyConfiguration {
	shard := planned.Shard
	containers := []*corev1ac.ContainerApplyConfiguration{container(ksmScale, shard), gate(ksmScale, shard, gateOptions)}
	spec := corev1ac.PodSpec().
		WithServiceAccountName(v1alpha1.ServiceAccountName(ksmScale.Name)).
		WithNodeSelector(ksmScale.Spec.NodeSelector()).
		WithTopologySpreadConstraints(spreads(planned)...).
		WithAffinity(avoidSiblings(shard)).
		WithTerminationGracePeriodSeconds(int64((leaveDelay + leaveGrace).Seconds()))
	addCustomResourceState(&ksmScale.Spec.Metrics, spec, containers[0])
	addTLS(&ksmScale.Spec.Metrics, spec, containers)
	if template := ksmScale.Spec.Template; template != nil {
		addIdentity(template, spec)
		addPlacement(ksmScale, spec)
		addNetwork(template, spec)
		addStorage(template, spec, containers[0])
		for _, container := range containers {
			addToContainer(template, container)
		}
		addMemoryLimit(ksmScale, containers[0])
	}
	return spec.WithContainers(containers...)
}

// spreads keep the replicas of a shard apart on nodes, and as far as possible in zones; or, if they must be spread over
// zones, the other way around: both at once would leave pods without a node where a zone has fewer nodes than the
// others.
func spreads(planned scaling.Shard) []*corev1ac.TopologySpreadConstraintApplyConfiguration {
	overNodes, overZones := corev1.DoNotSchedule, corev1.ScheduleAnyway
	if planned.AcrossZones {
		overNodes, overZones = overZones, overNodes
	}
	return []*corev1ac.TopologySpreadConstraintApplyConfiguration{
		spread(planned.Shard, corev1.LabelHostname, overNodes),
		spread(planned.Shard, corev1.LabelTopologyZone, overZones),
	}
}

// spread is over nodes or zones that the pods may run on. Nodes with taints that the pods do not tolerate do not count, since
// they would be empty domains forever and leave the second replica pending; and pods of another version do not
// count either, so that a rollout can add one more.
func spread(shard v1alpha1.Shard, topologyKey string, otherwise corev1.UnsatisfiableConstraintAction) *corev1ac.TopologySpreadConstraintApplyConfiguration {
	return corev1ac.TopologySpreadConstraint().
		WithTopologyKey(topologyKey).
		WithMaxSkew(1).
		WithWhenUnsatisfiable(otherwise).
		WithNodeAffinityPolicy(corev1.NodeInclusionPolicyHonor).
		WithNodeTaintsPolicy(corev1.NodeInclusionPolicyHonor).
		WithMatchLabelKeys("pod-template-hash").
		WithLabelSelector(selector(shard))
}

func avoidSiblings(shard v1alpha1.Shard) *corev1ac.AffinityApplyConfiguration {
	return corev1ac.Affinity().WithPodAntiAffinity(corev1ac.PodAntiAffinity().
		WithPreferredDuringSchedulingIgnoredDuringExecution(corev1ac.WeightedPodAffinityTerm().
			WithWeight(100).
			WithPodAffinityTerm(corev1ac.PodAffinityTerm().
				WithTopologyKey(corev1.LabelHostname).
				WithLabelSelector(selector(shard)))))
}
