package scaling_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/scaling"
)

func TestHold(t *testing.T) {
	for _, test := range []struct {
		name     string
		nodes    int
		override func(*v1alpha1.KSMScaleSpec)
		paused   v1alpha1.PausedShard
		want     []int32
		back     int64
	}{
		{name: "a shard does not rise", nodes: 450, paused: v1alpha1.PausedShard{Shard: 1, TotalShards: 3, Replicas: 4}, want: []int32{10, 4, 10}, back: 6},
		{name: "but it falls", nodes: 60, paused: v1alpha1.PausedShard{Shard: 1, TotalShards: 3, Replicas: 4}, want: []int32{2, 1, 1}},
		{name: "not below the minimum", nodes: 450, paused: v1alpha1.PausedShard{Shard: 0, TotalShards: 3, Replicas: 1}, want: []int32{2, 10, 10}, back: 8,
			override: func(s *v1alpha1.KSMScaleSpec) { s.Sharding.MinReplicasPerShard = 2 }},
		{name: "that of another partition", nodes: 60, paused: v1alpha1.PausedShard{Shard: 0, TotalShards: 5, Replicas: 1}, want: []int32{2, 1, 1}},
		{name: "one that makes no sense", nodes: 60, paused: v1alpha1.PausedShard{Shard: 3, TotalShards: 3, Replicas: 1}, want: []int32{2, 1, 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := ksmScale()
			if test.override != nil {
				test.override(&k.Spec)
			}
			k.Status.ShardingStatus = &v1alpha1.ShardingStatus{ScaleUpPaused: []v1alpha1.PausedShard{test.paused}}
			plan := scaling.New(k, scaling.Cluster{Nodes: test.nodes})
			assert.Equal(t, test.want, replicas(plan))
			assert.Equal(t, test.back, plan.PausedReplicas())
		})
	}
}

func TestHoldLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k, cluster := drawKSMScale(t), scaling.Cluster{Nodes: rapid.IntRange(0, 20_000).Draw(t, "nodes")}
		free := scaling.New(k, cluster)
		paused := v1alpha1.PausedShard{
			Shard: rapid.Int32Range(0, free.Total-1).Draw(t, "shard"), TotalShards: free.Total,
			Replicas: rapid.Int32Range(0, 100).Draw(t, "replicas"),
		}
		k.Status.ShardingStatus = &v1alpha1.ShardingStatus{ScaleUpPaused: []v1alpha1.PausedShard{paused}}
		plan := scaling.New(k, cluster)
		var sum int64
		for id, shard := range plan.Shards {
			sum += int64(shard.Replicas)
			assert.LessOrEqual(t, shard.Replicas, free.Shards[id].Replicas)
			assert.GreaterOrEqual(t, shard.Replicas, min(k.Spec.Sharding.MinReplicasPerShard, free.Shards[id].Replicas))
			if int32(id) != paused.Shard {
				assert.Equal(t, free.Shards[id].Replicas, shard.Replicas, "others are left alone")
			}
		}
		assert.Equal(t, plan.Desired, sum+plan.PausedReplicas())
	})
}

func TestGrowsWithoutEnd(t *testing.T) {
	node := func(nodes int) scaling.NodeKind {
		return scaling.NodeKind{CPU: 4000, Memory: 16 << 30, OS: "linux", Nodes: nodes}
	}
	huge := func(nodes int) scaling.NodeKind {
		return scaling.NodeKind{CPU: 64000, Memory: 256 << 30, OS: "linux", Nodes: nodes}
	}
	windows := scaling.NodeKind{CPU: 64000, Memory: 256 << 30, OS: "windows", Nodes: 20}
	for _, test := range []struct {
		name                     string
		nodesPerMonitor, maximum int32
		cpu, memory              int64
		kinds                    []scaling.NodeKind
		want                     bool
	}{
		{"a node for each pod that fills it", 1, 0, 2001, 0, []scaling.NodeKind{node(10)}, true},
		{"by its memory", 1, 0, 10, 9 << 30, []scaling.NodeKind{node(10)}, true},
		{"two pods fit on a node", 1, 0, 2000, 8 << 30, []scaling.NodeKind{node(10)}, false},
		{"two nodes for each pod", 2, 0, 4000, 0, []scaling.NodeKind{node(10)}, false},
		{"a maximum", 1, 5, 4000, 0, []scaling.NodeKind{node(10)}, false},
		{"most nodes have room", 1, 0, 4000, 0, []scaling.NodeKind{node(4), huge(6)}, false},
		{"some nodes have room", 1, 0, 4000, 0, []scaling.NodeKind{node(6), huge(4)}, true},
		{"nodes of another operating system have room", 1, 0, 4000, 0, []scaling.NodeKind{node(10), windows}, true},
		{"nothing is known of nodes", 1, 0, math.MaxInt32, 0, nil, false},
	} {
		k := ksmScale(func(s *v1alpha1.KSMScaleSpec) {
			s.NodesPerMonitor, s.Sharding.MaxReplicasPerShard = test.nodesPerMonitor, test.maximum
		})
		assert.Equal(t, test.want, scaling.GrowsWithoutEnd(&k.Spec, test.cpu, test.memory, test.kinds), test.name)
	}
}
