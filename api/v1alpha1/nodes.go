package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// NodesConfig is which of the registered nodes count. A node counts if nothing here excludes it: by default, every
// one but virtual kubelets, whether pods can be scheduled there or not.
type NodesConfig struct {
	// selector has the labels of the nodes that count. By default it excludes the label type=virtual-kubelet. A
	// selector that is set replaces the default as a whole, so that {} selects virtual kubelets too.
	// +kubebuilder:default={matchExpressions: {{key: "type", operator: "NotIn", values: {"virtual-kubelet"}}}}
	// +optional
	Selector *NodeSelector `json:"selector,omitempty"`
	// schedulableOnly leaves out nodes that are cordoned. Replicas then fall while nodes are drained for an upgrade,
	// although the objects that kube-state-metrics exports stay.
	// +optional
	SchedulableOnly bool `json:"schedulableOnly,omitempty"`
	// readyOnly leaves out nodes that are not ready.
	// +optional
	ReadyOnly bool `json:"readyOnly,omitempty"`
	// ignoredTaints leave out nodes that have any of these taints.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	IgnoredTaints []IgnoredTaint `json:"ignoredTaints,omitempty"`
}

// NodeSelector is a metav1.LabelSelector, with what it holds checked here already.
//
// +structType=atomic
type NodeSelector struct {
	// matchLabels are labels that nodes must have, with these values.
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(key, key.size() <= 317 && !format.qualifiedName().validate(key).hasValue())",message="each key of spec.nodes.selector.matchLabels must be the key of a label, such as node-role.kubernetes.io/worker"
	// +optional
	MatchLabels map[string]LabelValue `json:"matchLabels,omitempty"`
	// matchExpressions are further requirements, all of which nodes must meet.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	MatchExpressions []NodeSelectorRequirement `json:"matchExpressions,omitempty"`
}

// NodeSelectorRequirement is a metav1.LabelSelectorRequirement.
//
// +kubebuilder:validation:XValidation:rule="(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",message="values must be given with the operators In and NotIn, and not with Exists and DoesNotExist"
type NodeSelectorRequirement struct {
	// key is the key of a label.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:XValidation:rule="!format.qualifiedName().validate(self).hasValue()",message="must be the key of a label, such as node-role.kubernetes.io/worker"
	// +required
	Key string `json:"key,omitempty"`
	// operator is how the label is compared with the values. As in all label selectors, NotIn is also met by nodes
	// without the label.
	// +kubebuilder:validation:Enum=In;NotIn;Exists;DoesNotExist
	// +required
	Operator metav1.LabelSelectorOperator `json:"operator,omitempty"`
	// values are what the label's value is compared with.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	Values []LabelValue `json:"values,omitempty"`
}

// LabelValue is the value of a label or a taint.
//
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:XValidation:rule="!format.labelValue().validate(self).hasValue()",message="must be the value of a label: letters, digits, '-', '_' and '.', at most 63 of them"
type LabelValue string

// IgnoredTaint is what a taint is compared with.
type IgnoredTaint struct {
	// key is the key of the taint.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:XValidation:rule="!format.qualifiedName().validate(self).hasValue()",message="must be the key of a taint, such as node-role.kubernetes.io/control-plane"
	// +required
	Key string `json:"key,omitempty"`
	// value is the value of the taint; any, if it is left out.
	// +optional
	Value *LabelValue `json:"value,omitempty"`
	// effect is the effect of the taint; any, if it is left out.
	// +kubebuilder:validation:Enum=NoSchedule;PreferNoSchedule;NoExecute
	// +optional
	Effect corev1.TaintEffect `json:"effect,omitempty"`
}

// Matches tells whether a taint is one of those meant.
func (t *IgnoredTaint) Matches(taint *corev1.Taint) bool {
	return t.Key == taint.Key &&
		(t.Value == nil || string(*t.Value) == taint.Value) &&
		(t.Effect == "" || t.Effect == taint.Effect)
}

// defaultNodeSelector is that of spec.nodes.selector.
func defaultNodeSelector() *NodeSelector {
	return &NodeSelector{MatchExpressions: []NodeSelectorRequirement{
		{Key: "type", Operator: metav1.LabelSelectorOpNotIn, Values: []LabelValue{"virtual-kubelet"}},
	}}
}

// NodesOrDefault is which nodes count, with the default selector if none is set.
func (s *KSMScaleSpec) NodesOrDefault() NodesConfig {
	nodes := s.Nodes
	if nodes.Selector == nil {
		nodes.Selector = defaultNodeSelector()
	}
	return nodes
}

// LabelSelector is the selector in the type that the libraries know.
func (s *NodeSelector) LabelSelector() *metav1.LabelSelector {
	selector := &metav1.LabelSelector{}
	for key, value := range s.MatchLabels {
		metav1.AddLabelToSelector(selector, key, string(value))
	}
	for _, requirement := range s.MatchExpressions {
		expression := metav1.LabelSelectorRequirement{Key: requirement.Key, Operator: requirement.Operator}
		for _, value := range requirement.Values {
			expression.Values = append(expression.Values, string(value))
		}
		selector.MatchExpressions = append(selector.MatchExpressions, expression)
	}
	return selector
}
