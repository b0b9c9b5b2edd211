package scaling

import "github.com/example/ksmscale/api/v1alpha1"

// acrossZones tells whether replicas must be spread evenly over zones. The scheduler finds no node at all for a pod that
// must be, unless some node has a zone; but as long as one has, the others do not matter, so that nodes that come
// without a zone replace no pod. Nor does it matter that there are no nodes for a while.
func acrossZones(strategy v1alpha1.ReplicationStrategy, cluster Cluster) bool {
	return strategy == v1alpha1.ZoneAware && !WithoutZones(cluster)
}

// WithoutZones tells whether pods can run on some node, but on none that has a zone.
func WithoutZones(cluster Cluster) bool { return cluster.Placeable > 0 && cluster.Zoned == 0 }
