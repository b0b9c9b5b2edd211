package nodes

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
)

// ForCache is the cache option for nodes. It removes all fields that a Counter and an Allocatable do not read, which is
// nearly the whole node.
func ForCache() cache.ByObject {
	return cache.ByObject{Transform: func(obj any) (any, error) {
		node, ok := obj.(*corev1.Node)
		if !ok {
			return obj, nil
		}
		return lookedAt(node), nil
	}}
}

// lookedAt is a node with only the fields that are read. The deletion timestamp is not among them, because a node is
// registered until it is gone.
func lookedAt(node *corev1.Node) *corev1.Node {
	only := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: node.Name, UID: node.UID, ResourceVersion: node.ResourceVersion, Labels: node.Labels,
		},
		Spec:   corev1.NodeSpec{Unschedulable: node.Spec.Unschedulable},
		Status: allocatable(node),
	}
	for _, taint := range node.Spec.Taints {
		only.Spec.Taints = append(only.Spec.Taints, corev1.Taint{Key: taint.Key, Value: taint.Value, Effect: taint.Effect})
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			only.Status.Conditions = []corev1.NodeCondition{{Type: condition.Type, Status: condition.Status}}
		}
	}
	return only
}

// alike reports whether two nodes are the same for any selection, such as before and after a heartbeat. nil is no node.
func alike(a, b *corev1.Node) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Spec.Unschedulable == b.Spec.Unschedulable &&
		ready(a) == ready(b) &&
		maps.Equal(a.Labels, b.Labels) &&
		slices.EqualFunc(a.Spec.Taints, b.Spec.Taints, func(a, b corev1.Taint) bool {
			return a.Key == b.Key && a.Value == b.Value && a.Effect == b.Effect
		})
}
