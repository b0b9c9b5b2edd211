package objects

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/scaling"
)

// Deployment is the wanted Deployment of a shard. It leaves out spec.replicas, always: who scales it owns that field,
// by the scale subresource. To send it once and drop it later would be worse than never to send it, because a field that
// its only owner drops is removed, and the Deployment falls back to one replica.
func Deployment(ksmScale *v1alpha1.KSMScale, planned scaling.Shard, gateOptions GateOptions) *appsv1ac.DeploymentApplyConfiguration {
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
				WithSpec(podSpec(ksmScale, planned, gateOptions))))
}

// progressDeadline is how long a Deployment may take for a pod to be ready before it counts as stuck: longer
// than the gate waits.
const progressDeadline = 15 * time.Minute
