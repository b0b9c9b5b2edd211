package objects

import (
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

const (
	ContainerName = "kube-state-metrics"
	// unprivilegedUser is "nobody", as in kube-state-metrics' own image.
	unprivilegedUser = 65534
	// leaveDelay is for how long a pod that is deleted goes on serving: kube-proxies send scrapes to it until they
	// know, and those that are under way are to end; where Prometheus scrapes every pod, it goes on for up to ten seconds.
	// kube-state-metrics ends at once when it is told to, and its image has no shell to sleep in.
	leaveDelay = 15 * time.Second
	// leaveGrace is how long it has to end after that.
	leaveGrace = 10 * time.Second
)

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
		WithResources(As[corev1ac.ResourceRequirementsApplyConfiguration](MonitorResources(ksmScale))).
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
