package partition

import (
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/observation"
)

// WithPausedShards returns a shallow copy of a KSMScale for the planner. Its status has the shards whose scale-up is paused now.
func WithPausedShards(ksmScale *v1alpha1.KSMScale, observed observation.Snapshot) *v1alpha1.KSMScale {
	updated := *ksmScale
	updated.Status.ShardingStatus = &v1alpha1.ShardingStatus{}
	if sharding := ksmScale.Status.ShardingStatus; sharding != nil {
		*updated.Status.ShardingStatus = *sharding
	}
	updated.Status.ShardingStatus.ScaleUpPaused = PausedShards(observed)
	return &updated
}

// PausedShards returns the shards whose scale-up is paused, because the scheduler finds no node for one of their pods. Each shard keeps the
// replicas that its Deployment is set to. Fewer replicas would remove pods that run, and more replicas would only add pods without a node.
func PausedShards(observed observation.Snapshot) []v1alpha1.PausedShard {
	waiting := sets.New[v1alpha1.Shard]()
	for _, pod := range observed.UnschedulablePods() {
		if shard, ok := v1alpha1.ShardOf(pod.Labels); ok {
			waiting.Insert(shard)
		}
	}
	var paused []v1alpha1.PausedShard
	for _, deployment := range observation.SortedByName(observed.Deployments) {
		shard, ok := v1alpha1.ShardOf(deployment.Labels)
		if ok && waiting.Has(shard) {
			paused = append(paused, v1alpha1.PausedShard{Shard: shard.ID, TotalShards: shard.Total, Replicas: observation.ReplicasOf(deployment)})
		}
	}
	return paused
}
