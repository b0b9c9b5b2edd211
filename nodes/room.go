package nodes

import corev1 "k8s.io/api/core/v1"

// room is the capacity of a node for pods, and the operating system of these pods. It is empty until the kubelet has
// reported the capacity.
type room struct {
	// cpu is in millicores, and memory in bytes.
	cpu, memory int64
	os          string
}

func roomOf(node *corev1.Node) room {
	known := room{cpu: node.Status.Allocatable.Cpu().MilliValue(), memory: node.Status.Allocatable.Memory().Value()}
	if known != (room{}) {
		known.os = node.Labels[corev1.LabelOSStable]
	}
	return known
}
