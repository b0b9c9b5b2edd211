package v1alpha1

import corev1 "k8s.io/api/core/v1"

// Toleration is a core/v1 Toleration whose fields the API server validates.
//
// +kubebuilder:validation:XValidation:rule="(has(self.key) && self.key.size() > 0) || (has(self.operator) && self.operator == 'Exists')",message="each of spec.template.tolerations must have the key of a taint: set key, or set operator to Exists to tolerate all taints"
// +kubebuilder:validation:XValidation:rule="!has(self.operator) || self.operator != 'Exists' || !has(self.value) || self.value.size() == 0",message="each of spec.template.tolerations with operator Exists must have no value: remove value, or set operator to Equal"
// +kubebuilder:validation:XValidation:rule="!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",message="each of spec.template.tolerations with tolerationSeconds must have effect NoExecute: set effect, or remove tolerationSeconds"
type Toleration struct {
	// key is the key of the taint. Without it, any key matches.
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:XValidation:rule="self == '' || self.indexOf('/') <= 253 && self.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$')",message="must be the key of a taint, such as node-role.kubernetes.io/control-plane"
	// +optional
	Key string `json:"key,omitempty"`
	// operator compares the value of the taint with value. The default is Equal. Lt and Gt need Kubernetes 1.35 or
	// newer.
	// +kubebuilder:validation:Enum="";Equal;Exists;Lt;Gt
	// +optional
	Operator corev1.TolerationOperator `json:"operator,omitempty"`
	// value is compared with the value of the taint.
	// +optional
	Value LabelValue `json:"value,omitempty"`
	// effect is the effect of the taint. Without it, any effect matches.
	// +kubebuilder:validation:Enum="";NoSchedule;PreferNoSchedule;NoExecute
	// +optional
	Effect corev1.TaintEffect `json:"effect,omitempty"`
	// tolerationSeconds is the time in seconds that a pod stays on a node that gets the taint. Without it, the pod stays
	// forever.
	// +kubebuilder:validation:Minimum=0
	// +optional
	TolerationSeconds *int64 `json:"tolerationSeconds,omitempty"`
}

// PodNodeSelector has the labels of the nodes that pods may run on. It is spec.template.nodeSelector, with
// kubernetes.io/os: linux unless that sets the key.
func (s *KSMScaleSpec) PodNodeSelector() map[string]string {
	selector := map[string]string{corev1.LabelOSStable: string(corev1.Linux)}
	if s.Template != nil {
		for key, value := range s.Template.NodeSelector {
			selector[key] = string(value)
		}
	}
	return selector
}

// OperatingSystem is the operating system of the nodes that pods may run on.
func (s *KSMScaleSpec) OperatingSystem() string { return s.PodNodeSelector()[corev1.LabelOSStable] }

// Tolerations converts spec.template.tolerations to the type of the libraries.
func (s *KSMScaleSpec) Tolerations() []corev1.Toleration {
	if s.Template == nil {
		return nil
	}
	var tolerations []corev1.Toleration
	for _, toleration := range s.Template.Tolerations {
		tolerations = append(tolerations, corev1.Toleration{
			Key: toleration.Key, Operator: toleration.Operator, Value: string(toleration.Value),
			Effect: toleration.Effect, TolerationSeconds: toleration.TolerationSeconds,
		})
	}
	return tolerations
}
