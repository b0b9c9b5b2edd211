package scaling

import "github.com/example/ksmscale/api/v1alpha1"

// acrossZones reports whether replicas must be spread evenly over zones. Without any node with a zone, the scheduler finds
// no node for such pods. One node with a zone is enough, so new nodes without a zone replace no pod. A time without nodes
// does not matter either.
func acrossZones(strategy v1alpha1.ReplicationStrategy, cluster Cluster) bool {
	return strategy == v1alpha1.ZoneAware && !WithoutZones(cluster)
}

// WithoutZones reports whether pods can run on some node, but on no node with a zone.
func WithoutZones(cluster Cluster) bool { return cluster.Placeable > 0 && cluster.Zoned == 0 }
