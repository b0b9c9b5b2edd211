package scaling

import "github.com/example/ksmscale/api/v1alpha1"

// pauseScaleUp keeps the replicas of shards whose scale-up is paused from rising, but not below the minimum. While a pod
// waits for a node, a cluster autoscaler adds a node, and each new node raises the plan.
func (p *Plan) pauseScaleUp(sharding *v1alpha1.ShardingStatus, lower int32) {
	if sharding == nil {
		return
	}
	for _, one := range sharding.ScaleUpPaused {
		if one.TotalShards != p.Total || one.Shard < 0 || one.Shard >= p.Total {
			continue
		}
		shard := &p.Shards[one.Shard]
		if most := max(one.Replicas, lower); shard.Replicas > most {
			shard.PausedReplicas = shard.Replicas - most
			shard.Replicas = most
		}
	}
}

// PausedReplicas is how many planned replicas wait because their scale-up is paused.
func (p *Plan) PausedReplicas() int64 {
	var paused int64
	for _, shard := range p.Shards {
		paused += int64(shard.PausedReplicas)
	}
	return paused
}
