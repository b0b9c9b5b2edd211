package nodes

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"

	"github.com/example/ksmscale/api/v1alpha1"
)

// conditionTaintPrefix is the prefix of taints for a node's condition, such as cordoned or not ready.
const conditionTaintPrefix = "node.kubernetes.io/"

// placement decides which nodes pods may run on.
type placement struct {
	NodeSelector map[string]string    `json:"nodeSelector,omitempty"`
	NodeAffinity *corev1.NodeSelector `json:"nodeAffinity,omitempty"`
	Tolerations  []corev1.Toleration  `json:"tolerations,omitempty"`

	affinity *nodeaffinity.LazyErrorNodeSelector
}

// newPlacement is the placement of a spec that spreads its pods over zones. Other strategies do not need it, so it is nil
// for them.
func newPlacement(spec *v1alpha1.KSMScaleSpec) *placement {
	if spec.Strategy() != v1alpha1.ZoneAware {
		return nil
	}
	p := &placement{NodeSelector: spec.PodNodeSelector(), Tolerations: spec.Tolerations()}
	if spec.Template == nil {
		return p
	}
	if affinity := spec.Template.Affinity; affinity != nil && affinity.NodeAffinity != nil {
		p.NodeAffinity = affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	}
	if p.NodeAffinity != nil {
		p.affinity = nodeaffinity.NewLazyErrorNodeSelector(p.NodeAffinity)
	}
	return p
}

// allows reports whether pods may run on a node while the node is healthy.
func (p *placement) allows(node *corev1.Node) bool {
	return labels.SelectorFromSet(p.NodeSelector).Matches(labels.Set(node.Labels)) &&
		p.attracted(node) && !slices.ContainsFunc(node.Spec.Taints, p.repelled)
}

// attracted reports whether the affinity of the pods matches a node. An affinity that the scheduler cannot read matches no
// node.
func (p *placement) attracted(node *corev1.Node) bool {
	if p.affinity == nil {
		return true
	}
	matches, err := p.affinity.Match(node)
	return matches && err == nil
}

// labelKeys are the keys of the labels that the placement depends on, in the form of Listing. nil depends on none.
func (p *placement) labelKeys() sets.Set[string] {
	keys := sets.New[string]()
	if p == nil {
		return keys
	}
	keys.Insert(corev1.LabelTopologyZone)
	keys = keys.Union(sets.KeySet(p.NodeSelector))
	if p.NodeAffinity == nil {
		return keys
	}
	for _, term := range p.NodeAffinity.NodeSelectorTerms {
		for _, requirement := range term.MatchExpressions {
			keys.Insert(requirement.Key)
		}
		if len(term.MatchFields) > 0 {
			keys.Insert(nameKey) // The only field is the name.
		}
	}
	return keys
}

// repelled reports whether a taint keeps pods away permanently.
func (p *placement) repelled(taint corev1.Taint) bool {
	if taint.Effect == corev1.TaintEffectPreferNoSchedule || strings.HasPrefix(taint.Key, conditionTaintPrefix) {
		return false
	}
	return !slices.ContainsFunc(p.Tolerations, func(toleration corev1.Toleration) bool {
		return toleration.ToleratesTaint(klog.Background(), &taint, true)
	})
}
