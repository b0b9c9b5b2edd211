package objects

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

const (
	// GateContainerName is the name of the container of the gate.
	GateContainerName = "gate"
	// gateStateFile is in the shared memory of the pod, so it survives a restart of a container. An emptyDir volume would also survive, but
	// kubectl drain refuses pods with an emptyDir.
	gateStateFile = "/dev/shm/ksmscale-gate.json"
)

// GateOptions are what all gates of an installation have in common.
type GateOptions struct {
	// Image is the image of the gate.
	Image string
	// MeasureInterval is the time between two measurements; 0 for the default of the gate.
	MeasureInterval time.Duration
	// CountInterval is the time between two counts of objects; 0 for the default of the gate.
	CountInterval time.Duration
}

func (o GateOptions) args() []string {
	var args []string
	if o.MeasureInterval != 0 {
		args = append(args, "--measure-interval="+o.MeasureInterval.String())
	}
	if o.CountInterval != 0 {
		args = append(args, "--count-interval="+o.CountInterval.String())
	}
	return args
}

// gateContainer answers the readiness probe of kube-state-metrics. Its arguments state what kube-state-metrics exports. The gate has no
// readiness probe of its own.
func gateContainer(ksmScale *v1alpha1.KSMScale, shard v1alpha1.Shard, options GateOptions) *corev1ac.ContainerApplyConfiguration {
	return corev1ac.Container().
		WithName(GateContainerName).
		WithImage(options.Image).
		WithCommand("/gate").
		WithArgs(literal(slices.Concat(gateArgs(ksmScale, shard), []string{"--state-file=" + gateStateFile}, options.args()))...).
		WithPorts(containerPort(v1alpha1.PortNameGate, v1alpha1.PortGate)).
		WithLivenessProbe(probe("/healthz", intstr.FromString(v1alpha1.PortNameGate))).
		WithLifecycle(leaveLate()).
		WithResources(As[corev1ac.ResourceRequirementsApplyConfiguration](gateResources(ksmScale))).
		WithSecurityContext(restricted())
}

// gateResources returns the resources of the user. By default there are only requests, because the peak memory of the gate grows with the
// cluster.
func gateResources(ksmScale *v1alpha1.KSMScale) corev1.ResourceRequirements {
	if template := ksmScale.Spec.Template; template != nil && template.Gate != nil && template.Gate.Resources != nil {
		return *template.Gate.Resources
	}
	return corev1.ResourceRequirements{Requests: corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("10m"),
		corev1.ResourceMemory: resource.MustParse("64Mi"),
	}}
}

// gateArgs returns the arguments of the gate, without its state file.
func gateArgs(ksmScale *v1alpha1.KSMScale, shard v1alpha1.Shard) []string {
	metrics := &ksmScale.Spec.Metrics
	args := []string{
		fmt.Sprintf("--shard=%d", shard.ID),
		fmt.Sprintf("--total-shards=%d", shard.Total),
	}
	args = appendList(args, resourcesFlag, ExportedResources(ksmScale))
	if ExportsCustomResources(ksmScale) {
		args = append(args, "--custom-resources")
	}
	for _, list := range listFlags(metrics) {
		args = appendList(args, list.flag, itemsOf(ksmScale, list))
	}
	if metrics.ObjectLimit > 0 {
		args = append(args, fmt.Sprintf("%s=%d", objectLimitFlag, metrics.ObjectLimit))
	}
	if metrics.AuthFilter {
		args = append(args, "--authenticate")
	}
	return append(args, gateTLSArgs(metrics)...)
}
