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
	// ContainerName is the name of the container of kube-state-metrics.
	ContainerName = "kube-state-metrics"
	// unprivilegedUser is "nobody", as in kube-state-metrics' own image.
	unprivilegedUser = 65534
	// leaveDelay is how long a deleted pod continues to serve, because kube-state-metrics ends at once on SIGTERM. Until kube-proxies and
	// Prometheus know of the deletion, they send scrapes to the pod, for up to ten seconds. The image has no shell to sleep in.
	leaveDelay = 15 * time.Second
	// leaveGrace is how long the containers may take to end after leaveDelay.
	leaveGrace = 10 * time.Second
)

// monitorContainer returns the container of kube-state-metrics.
func monitorContainer(ksmScale *v1alpha1.KSMScale, shard v1alpha1.Shard) *corev1ac.ContainerApplyConfiguration {
	return corev1ac.Container().
		WithName(ContainerName).
		WithImage(ksmScale.Spec.MonitorImage).
		WithArgs(literal(monitorFlags(ksmScale, shard))...).
		WithEnv(
			corev1ac.EnvVar().WithName("SHARD_ID").WithValue(strconv.Itoa(int(shard.ID))),
			corev1ac.EnvVar().WithName("POD_NAME").WithValueFrom(corev1ac.EnvVarSource().
				WithFieldRef(corev1ac.ObjectFieldSelector().WithAPIVersion("v1").WithFieldPath("metadata.name")))).
		WithPorts(
			containerPort(v1alpha1.PortNameMetrics, v1alpha1.PortMetrics),
			containerPort(v1alpha1.PortNameTelemetry, v1alpha1.PortTelemetry)).
		// /healthz does not depend on the API server. /livez does, so it would restart kube-state-metrics whenever the API server is
		// slow. The probe may fail for two minutes, because a restart of a throttled kube-state-metrics would also restart its loading.
		WithLivenessProbe(probe("/healthz", intstr.FromString(v1alpha1.PortNameMetrics)).
			WithFailureThreshold(12)).
		// The gate answers this probe. Its port belongs to another container, so the probe cannot use the name of the port. A loaded pod
		// becomes ready within a second, and a ready pod may fail for 15 seconds.
		WithReadinessProbe(probe("/readyz", intstr.FromInt32(v1alpha1.PortGate)).
			WithPeriodSeconds(1).WithTimeoutSeconds(1).WithFailureThreshold(15)).
		WithLifecycle(leaveLate()).
		WithResources(As[corev1ac.ResourceRequirementsApplyConfiguration](MonitorResources(ksmScale))).
		WithSecurityContext(restricted())
}

// leaveLate delays the end of a container.
func leaveLate() *corev1ac.LifecycleApplyConfiguration {
	return corev1ac.Lifecycle().WithPreStop(corev1ac.LifecycleHandler().
		WithSleep(corev1ac.SleepAction().WithSeconds(int64(leaveDelay.Seconds()))))
}

// restricted returns a security context that meets the Pod Security Standard of that name, with a read-only file system.
func restricted() *corev1ac.SecurityContextApplyConfiguration {
	return corev1ac.SecurityContext().
		WithRunAsNonRoot(true).
		WithRunAsUser(unprivilegedUser).
		WithReadOnlyRootFilesystem(true).
		WithAllowPrivilegeEscalation(false).
		WithCapabilities(corev1ac.Capabilities().WithDrop("ALL")).
		WithSeccompProfile(corev1ac.SeccompProfile().WithType(corev1.SeccompProfileTypeRuntimeDefault))
}

func containerPort(name string, number int32) *corev1ac.ContainerPortApplyConfiguration {
	return corev1ac.ContainerPort().WithName(name).WithContainerPort(number).WithProtocol(corev1.ProtocolTCP)
}

func probe(path string, port intstr.IntOrString) *corev1ac.ProbeApplyConfiguration {
	return corev1ac.Probe().
		WithHTTPGet(corev1ac.HTTPGetAction().WithPath(path).WithPort(port)).
		WithTimeoutSeconds(5)
}
