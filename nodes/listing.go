package nodes

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/example/ksmscale/api/v1alpha1"
)

// nameKey stands for the name of a node among the keys of labels. No label has an empty key.
const nameKey = ""

// usualLabels are the keys of the labels that KSMScales name without any field set, or with a usual one. So the first
// KSMScale of a cluster needs no second list.
func usualLabels() sets.Set[string] {
	usual := &v1alpha1.KSMScaleSpec{Sharding: &v1alpha1.ShardingConfig{ReplicationStrategy: v1alpha1.ZoneAware}}
	return newCount(usual).keys.Insert(corev1.LabelOSStable)
}

// Listing sends the nodes of one list, and of the watch after it, to a Counter. It is the store of a reflector, and keeps
// no nodes itself. It passes on the values of the labels that were named when it was created. The Counter ignores it once a
// later Listing has listed all nodes.
type Listing struct {
	counter *Counter
	// number is higher than the numbers of all earlier Listings.
	number int
	labels sets.Set[string]
	// listed is closed after the first list.
	listed chan struct{}
}

var _ toolscache.TransformingStore = (*Listing)(nil)

// Listing returns a Listing for the labels that are named now. The Counter keeps its answers until the first Replace.
func (c *Counter) Listing() *Listing {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listings++
	return &Listing{counter: c, number: c.listings, labels: c.named, listed: make(chan struct{})}
}

// Transformer returns the function that reduces a node. It is part of toolscache.TransformingStore.
func (l *Listing) Transformer() toolscache.TransformFunc {
	return func(obj any) (any, error) { return l.observe(obj) }
}

// Add counts a node. It is part of toolscache.ReflectorStore.
func (l *Listing) Add(obj any) error { return l.update(obj, false) }

// Update counts a changed node. It is part of toolscache.ReflectorStore.
func (l *Listing) Update(obj any) error { return l.update(obj, false) }

// Delete removes a node from the counts. It is part of toolscache.ReflectorStore.
func (l *Listing) Delete(obj any) error { return l.update(obj, true) }

// Resync does nothing. It is part of toolscache.ReflectorStore.
func (l *Listing) Resync() error { return nil }

// Replace counts all nodes of the cluster. It is part of toolscache.ReflectorStore.
func (l *Listing) Replace(objects []any, _ string) error {
	all := make([]observed, 0, len(objects))
	for _, obj := range objects {
		node, err := l.observe(obj)
		if err != nil {
			return err
		}
		all = append(all, *node)
	}
	for _, notify := range l.counter.replace(l, all) {
		notify()
	}
	select {
	case <-l.listed:
	default:
		close(l.listed)
	}
	return nil
}

func (l *Listing) update(obj any, deleted bool) error {
	node, err := l.observe(obj)
	if err != nil {
		return err
	}
	for _, notify := range l.counter.update(l, *node, deleted) {
		notify()
	}
	return nil
}

// observed is a node with only what is kept of it. It has a name, so a reflector can tell it from others.
type observed struct {
	name, traits string
	room         room
}

var _ metav1.ObjectMetaAccessor = (*observed)(nil)

// GetObjectMeta is part of metav1.ObjectMetaAccessor.
func (o *observed) GetObjectMeta() metav1.Object { return &metav1.ObjectMeta{Name: o.name} }

// observe reduces a node. It returns a reduced one unchanged.
func (l *Listing) observe(obj any) (*observed, error) {
	switch node := obj.(type) {
	case *observed:
		return node, nil
	case *corev1.Node:
		return &observed{name: node.Name, traits: l.encoded(node), room: roomOf(node)}, nil
	default:
		return nil, fmt.Errorf("a node is a %T", obj)
	}
}

// traits are the properties of a node that selections and placements depend on. The deletion timestamp is not among them,
// because a node is registered until it is gone.
type traits struct {
	Name          string            `json:"name,omitempty"`
	Labels        map[string]string `json:"labels,omitempty"`
	Taints        []taint           `json:"taints,omitempty"`
	Unschedulable bool              `json:"unschedulable,omitempty"`
	Ready         bool              `json:"ready,omitempty"`
}

type taint struct {
	Key    string             `json:"key"`
	Value  string             `json:"value,omitempty"`
	Effect corev1.TaintEffect `json:"effect"`
}

// encoded are the traits of a node as a string that is the same for nodes that are alike.
func (l *Listing) encoded(node *corev1.Node) string {
	kept := traits{Unschedulable: node.Spec.Unschedulable, Ready: ready(node)}
	for key := range l.labels {
		value, labelled := node.Labels[key]
		switch {
		case key == nameKey:
			kept.Name = node.Name
		case labelled && kept.Labels == nil:
			kept.Labels = map[string]string{key: value}
		case labelled:
			kept.Labels[key] = value
		}
	}
	for _, one := range node.Spec.Taints {
		kept.Taints = append(kept.Taints, taint{one.Key, one.Value, one.Effect})
	}
	encoded, err := json.Marshal(kept)
	if err != nil {
		panic(fmt.Sprintf("cannot encode the traits of a node as JSON: %v", err))
	}
	return string(encoded)
}

// decoded is a node with the encoded traits, and with no other field.
func decoded(encoded string) *corev1.Node {
	var kept traits
	if err := json.Unmarshal([]byte(encoded), &kept); err != nil {
		panic(fmt.Sprintf("cannot decode the traits of a node: %v", err))
	}
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: kept.Name, Labels: kept.Labels},
		Spec:       corev1.NodeSpec{Unschedulable: kept.Unschedulable},
	}
	for _, one := range kept.Taints {
		node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: one.Key, Value: one.Value, Effect: one.Effect})
	}
	if kept.Ready {
		node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	}
	return node
}
