package scaling

import "github.com/example/ksmscale/api/v1alpha1"

// hold keeps the replicas of shards from rising that the status says are held, but not below the least they may have:
// while a pod waits for a node, a cluster autoscaler adds one, and each node that is added asks for more pods.
func (p *Plan) hold(sharding *v1alpha1.ShardingStatus, lower int32) {
	if sharding == nil {
		return
	}
	for _, held := range sharding.ScaleUpPaused {
		if held.TotalShards != p.Total || held.Shard < 0 || held.Shard >= p.Total {
			continue
		}
		shard := &p.Shards[held.Shard]
		if most := max(held.Replicas, lower); shard.Replicas > most {
			shard.PausedReplicas = shard.Replicas - most
			shard.Replicas = most
		}
	}
}

// PausedReplicas is how many replicas the nodes ask for that are not wanted yet, as there is no room for them.
func (p *Plan) PausedReplicas() int64 {
	var paused int64
	for _, shard := range p.Shards {
		paused += int64(shard.PausedReplicas)
	}
	return paused
}
