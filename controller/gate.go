package controller

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
)

const (
	gateContainerName = "gate"
	// gateStateFile is in the shared memory of the pod's containers, which a restart of one of them does not end. A volume of the pod
	// would do as well, but kubectl drain refuses pods with an emptyDir.
	gateStateFile = "/dev/shm/ksmscale-gate.json"
)

// gateImage is the image of the gates: that of the init container "gate" of the controller's own pod. Kustomize, mirrors that rewrite
// images in pods, and scanners find it there like any other image.
func gateImage(ctx context.Context, pods client.Reader, options *Options) (string, error) {
	if options.GateImage != "" {
		return options.GateImage, nil
	}
	var pod corev1.Pod
	key := client.ObjectKey{Namespace: options.Namespace, Name: options.PodName}
	if err := pods.Get(ctx, key, &pod); err != nil {
		return "", fmt.Errorf("read the image of the gates from the controller's pod: %w", err)
	}
	for _, container := range pod.Spec.InitContainers {
		if container.Name == gateContainerName {
			return container.Image, nil
		}
	}
	return "", fmt.Errorf("read the image of the gates: pod %s has no init container %s; set --gate-image", key, gateContainerName)
}

// gate is the container that answers kube-state-metrics' readiness probe. It is told the flags that say what
// kube-state-metrics exports. It has no readiness of its own.
func gate(ksmScale *v1alpha1.KSMScale, shard v1alpha1.Shard, image string) *corev1ac.ContainerApplyConfiguration {
	return corev1ac.Container().
		WithName(gateContainerName).
		WithImage(image).
		WithCommand("/gate").
		WithArgs(literal(append(gateArgs(ksmScale, shard), "--state-file="+gateStateFile))...).
		WithPorts(port(v1alpha1.PortNameGate, v1alpha1.PortGate)).
		WithLivenessProbe(probe("/healthz", intstr.FromString(v1alpha1.PortNameGate))).
		WithLifecycle(leaveLate()).
		WithResources(as[corev1ac.ResourceRequirementsApplyConfiguration](gateResources(ksmScale))).
		WithSecurityContext(restricted())
}

// gateResources are those that the user sets, or else requests only: what the gate holds for a moment grows with the cluster.
func gateResources(ksmScale *v1alpha1.KSMScale) corev1.ResourceRequirements {
	if template := ksmScale.Spec.Template; template != nil && template.Gate != nil && template.Gate.Resources != nil {
		return *template.Gate.Resources
	}
	return corev1.ResourceRequirements{Requests: corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("10m"),
		corev1.ResourceMemory: resource.MustParse("64Mi"),
	}}
}

func gateArgs(ksmScale *v1alpha1.KSMScale, shard v1alpha1.Shard) []string {
	metrics := &ksmScale.Spec.Metrics
	args := []string{
		fmt.Sprintf("--shard=%d", shard.ID),
		fmt.Sprintf("--total-shards=%d", shard.Total),
	}
	args = appendList(args, resourcesFlag, exportedResources(ksmScale))
	if exportsCustomResources(ksmScale) {
		args = append(args, "--custom-resources")
	}
	for _, list := range lists(metrics) {
		args = appendList(args, list.flag, either(ksmScale, list.items, list.flag))
	}
	if metrics.ObjectLimit > 0 {
		args = append(args, fmt.Sprintf("%s=%d", objectLimitFlag, metrics.ObjectLimit))
	}
	if metrics.AuthFilter {
		args = append(args, "--authenticate")
	}
	return append(args, gateTLSArgs(metrics)...)
}
