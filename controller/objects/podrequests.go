package objects

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/example/ksmscale/api/v1alpha1"
)

// PodRequests returns what the scheduler reserves for a pod, in thousandths of a core and in bytes. A container without a request counts with
// its limit.
func PodRequests(ksmScale *v1alpha1.KSMScale) (cpu, memory int64) {
	request := func(name corev1.ResourceName) int64 {
		var total resource.Quantity
		for _, resources := range []corev1.ResourceRequirements{MonitorResources(ksmScale), gateResources(ksmScale)} {
			quantity, set := resources.Requests[name]
			if !set {
				quantity = resources.Limits[name]
			}
			total.Add(quantity)
		}
		return total.MilliValue()
	}
	return request(corev1.ResourceCPU), request(corev1.ResourceMemory) / 1000
}
