package v1alpha1

import corev1 "k8s.io/api/core/v1"

// Toleration is a core/v1 Toleration, with what it holds checked here already.
//
// +kubebuilder:validation:XValidation:rule="(has(self.key) && self.key.size() > 0) || (has(self.operator) && self.operator == 'Exists')",message="a toleration of spec.template.tolerations must have the key of a taint: write it, or operator Exists to tolerate all taints"
// +kubebuilder:validation:XValidation:rule="!has(self.operator) || self.operator != 'Exists' || !has(self.value) || self.value.size() == 0",message="a toleration of spec.template.tolerations with operator Exists must not have a value: remove the value, or write operator Equal"
// +kubebuilder:validation:XValidation:rule="!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",message="tolerationSeconds of spec.template.tolerations needs effect NoExecute: write that effect, or remove tolerationSeconds"
type Toleration struct {
	// key is the key of the taint; any, if it is left out.
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:XValidation:rule="self == '' || !format.qualifiedName().validate(self).hasValue()",message="must be the key of a taint, such as node-role.kubernetes.io/control-plane"
	// +optional
	Key string `json:"key,omitempty"`
	// operator is how the taint's value is compared with value; Equal by default. Lt and Gt need Kubernetes 1.35 or newer.
	// +kubebuilder:validation:Enum="";Equal;Exists;Lt;Gt
	// +optional
	Operator corev1.TolerationOperator `json:"operator,omitempty"`
	// value is what the taint's value is compared with.
	// +optional
	Value LabelValue `json:"value,omitempty"`
	// effect is the effect of the taint; any, if it is left out.
	// +kubebuilder:validation:Enum="";NoSchedule;PreferNoSchedule;NoExecute
	// +optional
	Effect corev1.TaintEffect `json:"effect,omitempty"`
	// tolerationSeconds is for how long a pod stays on a node that gets the taint; for ever, if it is left out.
	// +kubebuilder:validation:Minimum=0
	// +optional
	TolerationSeconds *int64 `json:"tolerationSeconds,omitempty"`
}

// NodeSelector has the labels of the nodes that pods may run on: kubernetes.io/os: linux, unless spec.template.nodeSelector sets
// another value for that key, and the rest of spec.template.nodeSelector.
func (s *KSMScaleSpec) NodeSelector() map[string]string {
	selector := map[string]string{corev1.LabelOSStable: string(corev1.Linux)}
	if s.Template != nil {
		for key, value := range s.Template.NodeSelector {
			selector[key] = string(value)
		}
	}
	return selector
}

// OperatingSystem is that of the nodes that pods may run on.
func (s *KSMScaleSpec) OperatingSystem() string { return s.NodeSelector()[corev1.LabelOSStable] }

// Tolerations are those of spec.template in the type that the libraries know.
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
