package objects

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

// Service returns the desired Service of a shard. Prometheus scrapes the Service, so it stores each series once for any number of
// replicas. The Service has no telemetry port. The telemetry of each replica differs, so Prometheus scrapes it from each pod.
func Service(ksmScale *v1alpha1.KSMScale, shard v1alpha1.Shard) *corev1ac.ServiceApplyConfiguration {
	return describe(ksmScale, corev1ac.Service(shard.Name(), ksmScale.Spec.Namespace), ShardLabels(ksmScale, shard)).
		WithSpec(corev1ac.ServiceSpec().
			WithSelector(shard.Selector()).
			WithPorts(corev1ac.ServicePort().
				WithName(v1alpha1.PortNameMetrics).
				WithPort(v1alpha1.PortMetrics).
				WithTargetPort(intstr.FromString(v1alpha1.PortNameMetrics)).
				WithProtocol(corev1.ProtocolTCP)))
}

// RetiredService returns the retired Service of a shard. Its label makes Prometheus stop scraping it. It still leads to the pods of the
// shard, for scrapes that are under way.
func RetiredService(ksmScale *v1alpha1.KSMScale, shard v1alpha1.Shard) *corev1ac.ServiceApplyConfiguration {
	return Service(ksmScale, shard).WithLabels(map[string]string{v1alpha1.LabelRetired: "true"})
}
