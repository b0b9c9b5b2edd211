package nodes

import (
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/example/ksmscale/api/v1alpha1"
)

// key identifies the part of a spec that concerns nodes. Specs with the same key use the same count.
func key(spec *v1alpha1.KSMScaleSpec) string {
	encoded, err := json.Marshal(struct {
		Nodes     v1alpha1.NodesConfig `json:"nodes"`
		Placement *placement           `json:"placement,omitempty"`
	}{spec.NodesOrDefault(), newPlacement(spec)})
	if err != nil {
		panic(fmt.Sprintf("cannot encode the node selection as JSON: %v", err))
	}
	return string(encoded)
}

// selection decides which nodes count.
type selection struct {
	v1alpha1.NodesConfig
	labels labels.Selector
}

// newSelection is the selection of a spec. A selector that cannot be read selects all nodes, so it removes no replica. The
// API server refuses such a selector.
func newSelection(spec *v1alpha1.KSMScaleSpec) selection {
	config := spec.NodesOrDefault()
	selector, err := metav1.LabelSelectorAsSelector(config.Selector.LabelSelector())
	if err != nil {
		selector = labels.Everything()
	}
	return selection{NodesConfig: config, labels: selector}
}

// labelKeys are the keys of the labels that the selection depends on.
func (s *selection) labelKeys() sets.Set[string] {
	keys := sets.New[string]()
	requirements, _ := s.labels.Requirements()
	for _, requirement := range requirements {
		keys.Insert(requirement.Key())
	}
	return keys
}

func (s *selection) counts(node *corev1.Node) bool {
	return s.labels.Matches(labels.Set(node.Labels)) &&
		(!s.SchedulableOnly || !node.Spec.Unschedulable) &&
		(!s.ReadyOnly || ready(node)) &&
		!slices.ContainsFunc(node.Spec.Taints, s.ignores)
}

func (s *selection) ignores(taint corev1.Taint) bool {
	return slices.ContainsFunc(s.IgnoredTaints, func(ignored v1alpha1.IgnoredTaint) bool { return ignored.Matches(&taint) })
}

// ready reports whether the node's condition Ready is True.
func ready(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(condition corev1.NodeCondition) bool {
		return condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue
	})
}
