package objects

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	"github.com/example/ksmscale/api/v1alpha1"
)

// MonitorResources returns the resource requirements of a kube-state-metrics container: spec.resources, and with spec.autoResources the
// recommendation in the status. A memory request in spec.resources is a floor then, and what it has for CPU stays.
func MonitorResources(ksmScale *v1alpha1.KSMScale) corev1.ResourceRequirements {
	auto, recommended := ksmScale.Spec.AutoResources, ksmScale.Status.Recommendation
	if auto == nil || recommended == nil {
		return ksmScale.Spec.Resources
	}
	resources := *ksmScale.Spec.Resources.DeepCopy()
	set := func(list *corev1.ResourceList, name corev1.ResourceName, quantity resource.Quantity) {
		if *list == nil {
			*list = corev1.ResourceList{}
		}
		(*list)[name] = quantity
	}
	if request := recommended.MemoryRequest; request != nil {
		memory := *request
		if floor, isSet := resources.Requests[corev1.ResourceMemory]; isSet && floor.Cmp(memory) > 0 {
			memory = floor
		}
		set(&resources.Requests, corev1.ResourceMemory, memory)
		if ptr.Deref(auto.Limits, true) {
			set(&resources.Limits, corev1.ResourceMemory, *resource.NewQuantity(2*memory.Value(), resource.BinarySI))
		}
	}
	_, requested := resources.Requests[corev1.ResourceCPU]
	_, limited := resources.Limits[corev1.ResourceCPU]
	if recommended.CPURequest != nil && !requested && !limited {
		set(&resources.Requests, corev1.ResourceCPU, *recommended.CPURequest)
	}
	return resources
}
