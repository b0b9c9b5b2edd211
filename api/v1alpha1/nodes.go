package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// NodesConfig selects the nodes that count. A node counts unless a field here excludes it. By default all nodes count
// except virtual kubelets, schedulable or not.
type NodesConfig struct {
	// selector has the labels of the nodes that count. The default excludes nodes with the label type=virtual-kubelet. A
	// selector replaces the whole default, so {} selects virtual kubelets too.
	// +kubebuilder:default={matchExpressions: {{key: "type", operator: "NotIn", values: {"virtual-kubelet"}}}}
	// +optional
	Selector *NodeSelector `json:"selector,omitempty"`
	// schedulableOnly excludes cordoned nodes. The desired replicas then fall while an upgrade drains nodes, although
	// the objects to export remain.
	// +optional
	SchedulableOnly bool `json:"schedulableOnly,omitempty"`
	// readyOnly excludes nodes that are not ready.
	// +optional
	ReadyOnly bool `json:"readyOnly,omitempty"`
	// ignoredTaints exclude nodes that have any of these taints.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	IgnoredTaints []IgnoredTaint `json:"ignoredTaints,omitempty"`
}

// NodeSelector is a metav1.LabelSelector whose keys and values the API server validates.
//
// +structType=atomic
type NodeSelector struct {
	// matchLabels are labels that a node must have, with these values.
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(key, key.size() <= 317 && key.indexOf('/') <= 253 && key.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$'))",message="each key of spec.nodes.selector.matchLabels must be the key of a label, such as node-role.kubernetes.io/worker"
	// +optional
	MatchLabels map[string]LabelValue `json:"matchLabels,omitempty"`
	// matchExpressions are further requirements. A node must meet all of them.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	MatchExpressions []NodeSelectorRequirement `json:"matchExpressions,omitempty"`
}

// NodeSelectorRequirement is a metav1.LabelSelectorRequirement.
//
// +kubebuilder:validation:XValidation:rule="(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",message="values must be set with the operators In and NotIn, and must not be set with Exists and DoesNotExist: add or remove them, or change the operator"
type NodeSelectorRequirement struct {
	// key is the key of a label.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:XValidation:rule="self.indexOf('/') <= 253 && self.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$')",message="must be the key of a label, such as node-role.kubernetes.io/worker"
	// +required
	Key string `json:"key,omitempty"`
	// operator compares the label with values. NotIn also selects nodes without the label, as in all label selectors.
	// +kubebuilder:validation:Enum=In;NotIn;Exists;DoesNotExist
	// +required
	Operator metav1.LabelSelectorOperator `json:"operator,omitempty"`
	// values are compared with the value of the label.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	Values []LabelValue `json:"values,omitempty"`
}

// LabelValue is the value of a label or a taint.
//
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:XValidation:rule="self.matches('^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$')",message="must be the value of a label: at most 63 letters, digits, '-', '_' and '.', such as team-a"
type LabelValue string

// IgnoredTaint selects taints.
type IgnoredTaint struct {
	// key is the key of the taint.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:XValidation:rule="self.indexOf('/') <= 253 && self.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$')",message="must be the key of a taint, such as node-role.kubernetes.io/control-plane"
	// +required
	Key string `json:"key,omitempty"`
	// value is the value of the taint. Without it, any value matches.
	// +optional
	Value *LabelValue `json:"value,omitempty"`
	// effect is the effect of the taint. Without it, any effect matches.
	// +kubebuilder:validation:Enum=NoSchedule;PreferNoSchedule;NoExecute
	// +optional
	Effect corev1.TaintEffect `json:"effect,omitempty"`
}

// Matches reports whether the taint is selected.
func (t *IgnoredTaint) Matches(taint *corev1.Taint) bool {
	return t.Key == taint.Key &&
		(t.Value == nil || string(*t.Value) == taint.Value) &&
		(t.Effect == "" || t.Effect == taint.Effect)
}

// defaultNodeSelector is the default of spec.nodes.selector.
func defaultNodeSelector() *NodeSelector {
	return &NodeSelector{MatchExpressions: []NodeSelectorRequirement{
		{Key: "type", Operator: metav1.LabelSelectorOpNotIn, Values: []LabelValue{"virtual-kubelet"}},
	}}
}

// NodesOrDefault is spec.nodes, with the default selector if the spec has none.
func (s *KSMScaleSpec) NodesOrDefault() NodesConfig {
	nodes := s.Nodes
	if nodes.Selector == nil {
		nodes.Selector = defaultNodeSelector()
	}
	return nodes
}

// LabelSelector converts the selector to the type of the libraries.
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
