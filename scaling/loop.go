package scaling

import (
	"math"

	"github.com/example/ksmscale/api/v1alpha1"
)

// NodeKind is a number of nodes with the same room for pods, and the same operating system.
type NodeKind struct {
	// CPU is in thousandths of a core, and Memory in bytes.
	CPU, Memory int64
	// OS is the operating system in the label of the nodes.
	OS string
	// Nodes is the number of nodes of the kind.
	Nodes int
}

// GrowsWithoutEnd reports whether a cluster autoscaler would add nodes without end for pods with these requests. This is
// so if each node needs a pod, pods have no maximum, and most nodes have room for only one pod. With two nodes for each
// pod, or two pods on a node, the growth ends. Nodes of another operating system have no room for the pods, and a cluster
// autoscaler does not add them.
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
