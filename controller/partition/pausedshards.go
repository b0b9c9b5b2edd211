package partition

import (
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/observation"
)

// WithPausedShards is a KSMScale whose status has the shards that are held now, for plans to be made from. The rest is shared.
func WithPausedShards(ksmScale *v1alpha1.KSMScale, observed observation.Snapshot) *v1alpha1.KSMScale {
	held := *ksmScale
	held.Status.ShardingStatus = &v1alpha1.ShardingStatus{}
	if sharding := ksmScale.Status.ShardingStatus; sharding != nil {
		*held.Status.ShardingStatus = *sharding
	}
	held.Status.ShardingStatus.ScaleUpPaused = PausedShards(observed)
	return &held
}

// PausedShards are the shards with pods that wait for a node, held at what their Deployments are set to now. Fewer would take
// away pods that run, and more cannot come of it: who scales reads no more than this.
func PausedShards(observed observation.Snapshot) []v1alpha1.PausedShard {
	waiting := sets.New[v1alpha1.Shard]()
	for _, pod := range observed.UnschedulablePods() {
		if shard, ok := observation.ShardOf(pod.Labels); ok {
			waiting.Insert(shard)
		}
	}
	var held []v1alpha1.PausedShard
	for _, deployment := range observation.SortedByName(observed.Deployments) {
		shard, ok := observation.ShardOf(deployment.Labels)
		if ok && waiting.Has(shard) {
			held = append(held, v1alpha1.PausedShard{Shard: shard.ID, TotalShards: shard.Total, Replicas: observation.ReplicasOf(deployment)})
		}
	}
	return held
}
