package objects

import (
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/scaling"
)

const (
	ContainerName = "kube-state-metrics"
	// unprivilegedUser is "nobody", as in kube-state-metrics' own image.
	unprivilegedUser = 65534

	// progressDeadline is how long a Deployment may take for a pod to be ready before it counts as stuck: longer
	// than the gate waits.
	progressDeadline = 15 * time.Minute
	// leaveDelay is for how long a pod that is deleted goes on serving: kube-proxies send scrapes to it until they
	// know, and those that are under way are to end; where Prometheus scrapes every pod, it goes on for up to ten seconds.
	// kube-state-metrics ends at once when it is told to, and its image has no shell to sleep in.
	leaveDelay = 15 * time.Second
	// leaveGrace is how long it has to end after that.
	leaveGrace = 10 * time.Second
)

// Deployment is the wanted Deployment of a shard. It leaves out spec.replicas, always: who scales it owns that field,
// by the scale subresource. To send it once and drop it later would be worse than never to send it, because a field that
// its only owner drops is removed, and the Deployment falls back to one replica.
func Deployment(ksmScale *v1alpha1.KSMScale, planned scaling.Shard, gateImage string) *appsv1ac.DeploymentApplyConfiguration {
	shard := planned.Shard
	return describe(ksmScale, appsv1ac.Deployment(shard.Name(), ksmScale.Spec.Namespace), ShardLabels(ksmScale, shard)).
		WithSpec(appsv1ac.DeploymentSpec().
			WithSelector(selector(shard)).
			// A pod leaves only when its successor has been ready for as long as Prometheus may take to scrape it,
			// even if it is the only one.
			WithMinReadySeconds(int32(ksmScale.Spec.ScrapeInterval().Seconds())).
			WithProgressDeadlineSeconds(int32(progressDeadline.Seconds())).
			WithStrategy(appsv1ac.DeploymentStrategy().
				WithType(appsv1.RollingUpdateDeploymentStrategyType).
				WithRollingUpdate(appsv1ac.RollingUpdateDeployment().
					WithMaxUnavailable(intstr.FromInt32(0)).
					WithMaxSurge(intstr.FromInt32(1)))).
			WithTemplate(corev1ac.PodTemplateSpec().
				WithLabels(podLabels(ksmScale, shard)).
				WithAnnotations(podAnnotations(ksmScale, shard)).
				WithSpec(podSpec(ksmScale, planned, gateImage))))
}

func podSpec(ksmScale *v1alpha1.KSMScale, planned scaling.Shard, gateImage string) *corev1ac.PodSpecApplyConfiguration {
	shard := planned.Shard
	containers := []*corev1ac.ContainerApplyConfiguration{container(ksmScale, shard), gate(ksmScale, shard, gateImage)}
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
		addMemoryLimit(&ksmScale.Spec, containers[0])
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

func container(ksmScale *v1alpha1.KSMScale, shard v1alpha1.Shard) *corev1ac.ContainerApplyConfiguration {
	return corev1ac.Container().
		WithName(ContainerName).
		WithImage(ksmScale.Spec.MonitorImage).
		WithArgs(literal(args(ksmScale, shard))...).
		WithEnv(
			corev1ac.EnvVar().WithName("SHARD_ID").WithValue(strconv.Itoa(int(shard.ID))),
			corev1ac.EnvVar().WithName("POD_NAME").WithValueFrom(corev1ac.EnvVarSource().
				WithFieldRef(corev1ac.ObjectFieldSelector().WithAPIVersion("v1").WithFieldPath("metadata.name")))).
		WithPorts(
			port(v1alpha1.PortNameMetrics, v1alpha1.PortMetrics),
			port(v1alpha1.PortNameTelemetry, v1alpha1.PortTelemetry)).
		// Not /livez, which asks the API server and so restarts kube-state-metrics whenever that is slow. It has two
		// minutes: one that is throttled while it loads would have to begin again. Readiness is sooner.
		WithLivenessProbe(probe("/healthz", intstr.FromString(v1alpha1.PortNameMetrics)).
			WithFailureThreshold(12)).
		// The gate, whose port is another container's and so has no name here. It is asked every second, so that a loaded
		// pod is ready at once, and a ready one may fail for 15 seconds.
		WithReadinessProbe(probe("/readyz", intstr.FromInt32(v1alpha1.PortGate)).
			WithPeriodSeconds(1).WithTimeoutSeconds(1).WithFailureThreshold(15)).
		WithLifecycle(leaveLate()).
		WithResources(As[corev1ac.ResourceRequirementsApplyConfiguration](ksmScale.Spec.Resources)).
		WithSecurityContext(restricted())
}

// leaveLate has a container that is told to end go on for a while.
func leaveLate() *corev1ac.LifecycleApplyConfiguration {
	return corev1ac.Lifecycle().WithPreStop(corev1ac.LifecycleHandler().
		WithSleep(corev1ac.SleepAction().WithSeconds(int64(leaveDelay.Seconds()))))
}

// restricted is what the Pod Security Standard of that name asks for, and a bit more.
func restricted() *corev1ac.SecurityContextApplyConfiguration {
	return corev1ac.SecurityContext().
		WithRunAsNonRoot(true).
		WithRunAsUser(unprivilegedUser).
		WithReadOnlyRootFilesystem(true).
		WithAllowPrivilegeEscalation(false).
		WithCapabilities(corev1ac.Capabilities().WithDrop("ALL")).
		WithSeccompProfile(corev1ac.SeccompProfile().WithType(corev1.SeccompProfileTypeRuntimeDefault))
}

func port(name string, number int32) *corev1ac.ContainerPortApplyConfiguration {
	return corev1ac.ContainerPort().WithName(name).WithContainerPort(number).WithProtocol(corev1.ProtocolTCP)
}

func probe(path string, port intstr.IntOrString) *corev1ac.ProbeApplyConfiguration {
	return corev1ac.Probe().
		WithHTTPGet(corev1ac.HTTPGetAction().WithPath(path).WithPort(port)).
		WithTimeoutSeconds(5)
}
