package scaling

import (
	"math"

	"github.com/example/ksmscale/api/v1alpha1"
)

// NodeKind is nodes with the same room for pods, and the same operating system.
type NodeKind struct {
	// CPU is in thousandths of a core, and Memory in bytes.
	CPU, Memory int64
	// OS is the operating system that the nodes are labelled with.
	OS string
	// Nodes is how many nodes there are of the kind.
	Nodes int
}

// GrowsWithoutEnd tells whether a cluster autoscaler would add nodes without end for pods that request that much: each
// node asks for a pod, there is no greatest number of them, and most nodes have room for one only. With two nodes for
// each pod, or two pods on a node, there are always nodes enough in the end. Nodes of another operating system than the
// pods' have room for none, and a cluster autoscaler adds none of them.
func GrowsWithoutEnd(spec *v1alpha1.KSMScaleSpec, cpu, memory int64, kinds []NodeKind) bool {
	if _, upper := ReplicaBounds(spec.Sharding); upper < math.MaxInt32 || spec.NodesPerMonitor != 1 {
		return false
	}
	var filled, nodes int
	for _, kind := range kinds {
		if kind.OS != spec.OperatingSystem() {
			continue
		}
		nodes += kind.Nodes
		if 2*cpu > kind.CPU || 2*memory > kind.Memory {
			filled += kind.Nodes
		}
	}
	return 2*filled > nodes
}
