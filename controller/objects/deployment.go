package objects

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/utils/ptr"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/scaling"
)

// Deployment returns the desired Deployment of a shard. It never has spec.replicas, because the autoscaler owns that field through the scale
// subresource. An apply that had the field once and drops it later would remove it. The Deployment would then fall back to one replica.
func Deployment(ksmScale *v1alpha1.KSMScale, planned scaling.Shard, gateOptions GateOptions) *appsv1ac.DeploymentApplyConfiguration {
	shard := planned.Shard
	return describe(ksmScale, appsv1ac.Deployment(shard.Name(), ksmScale.Spec.Namespace), ShardLabels(ksmScale, shard)).
		WithSpec(appsv1ac.DeploymentSpec().
			WithSelector(shardSelector(shard)).
			// An old pod leaves after its successor has been ready for a scrape interval, so Prometheus has scraped the successor.
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
				WithSpec(podSpec(ksmScale, planned, gateOptions))))
}

// WithMonitorResources sets the resources of kube-state-metrics in a Deployment that the controller has applied before, and the memory limit
// of Go with them. It returns false if the controller has applied no pods.
func WithMonitorResources(ksmScale *v1alpha1.KSMScale, deployment *appsv1ac.DeploymentApplyConfiguration) bool {
	if deployment.Spec == nil || deployment.Spec.Template == nil || deployment.Spec.Template.Spec == nil {
		return false
	}
	containers := deployment.Spec.Template.Spec.Containers
	for i := range containers {
		container := &containers[i]
		if ptr.Deref(container.Name, "") != ContainerName {
			continue
		}
		container.Resources = As[corev1ac.ResourceRequirementsApplyConfiguration](MonitorResources(ksmScale))
		if ksmScale.Spec.Template != nil && ksmScale.Spec.Template.GoMemoryLimitPercent > 0 {
			container.Env = slices.DeleteFunc(container.Env, func(variable corev1ac.EnvVarApplyConfiguration) bool {
				return ptr.Deref(variable.Name, "") == goMemoryLimit
			})
			addMemoryLimit(ksmScale, container)
		}
	}
	return true
}

// progressDeadline is how long a pod of a Deployment may take to become ready before the rollout counts as stuck. It is longer than the gate
// waits.
const progressDeadline = 15 * time.Minute
