package objects

import (
	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/scaling"
)

// podSpec returns the desired spec of the pods of a shard.
func podSpec(ksmScale *v1alpha1.KSMScale, planned scaling.Shard, gateOptions GateOptions) *corev1ac.PodSpecApplyConfiguration {
	shard := planned.Shard
	containers := []*corev1ac.ContainerApplyConfiguration{monitorContainer(ksmScale, shard), gateContainer(ksmScale, shard, gateOptions)}
	spec := corev1ac.PodSpec().
		WithServiceAccountName(ServiceAccountOf(ksmScale)).
		WithNodeSelector(ksmScale.Spec.PodNodeSelector()).
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

// spreads returns the constraints that spread the replicas of a shard. By default each replica must have its own node, and zones are a
// preference. With AcrossZones, zones are required and nodes are a preference. Requiring both would leave pods without a node where a zone
// has fewer nodes than the others.
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

// spread returns a constraint over nodes or zones. Nodes whose taints the pods do not tolerate do not count, because such empty domains would
// keep the second replica pending. Pods with another template do not count either, so a rollout can add a pod.
func spread(shard v1alpha1.Shard, topologyKey string, otherwise corev1.UnsatisfiableConstraintAction) *corev1ac.TopologySpreadConstraintApplyConfiguration {
	return corev1ac.TopologySpreadConstraint().
		WithTopologyKey(topologyKey).
		WithMaxSkew(1).
		WithWhenUnsatisfiable(otherwise).
		WithNodeAffinityPolicy(corev1.NodeInclusionPolicyHonor).
		WithNodeTaintsPolicy(corev1.NodeInclusionPolicyHonor).
		WithMatchLabelKeys("pod-template-hash").
		WithLabelSelector(shardSelector(shard))
}

// avoidSiblings prefers nodes without another pod of the shard.
func avoidSiblings(shard v1alpha1.Shard) *corev1ac.AffinityApplyConfiguration {
	return corev1ac.Affinity().WithPodAntiAffinity(corev1ac.PodAntiAffinity().
		WithPreferredDuringSchedulingIgnoredDuringExecution(corev1ac.WeightedPodAffinityTerm().
			WithWeight(100).
			WithPodAffinityTerm(corev1ac.PodAffinityTerm().
				WithTopologyKey(corev1.LabelHostname).
				WithLabelSelector(shardSelector(shard)))))
}
