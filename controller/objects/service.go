package objects

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

// Service is the wanted Service of a shard: what Prometheus scrapes, so that each series is stored once whatever
// the number of replicas. It has no port for kube-state-metrics' own metrics, which differ from replica to
// replica and are to be scraped per pod.
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

// RetiredService is the Service of a shard that is not to be scraped any more. It still leads to the shard's pods, for scrapes
// that are on their way.
func RetiredService(ksmScale *v1alpha1.KSMScale, shard v1alpha1.Shard) *corev1ac.ServiceApplyConfiguration {
	return Service(ksmScale, shard).WithLabels(map[string]string{v1alpha1.LabelRetired: "true"})
}
