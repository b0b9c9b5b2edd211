package scaling_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/scaling"
)

// ksmScale is a sharded KSMScale with the defaults of the API, and the overrides.
func ksmScale(overrides ...func(*v1alpha1.KSMScaleSpec)) *v1alpha1.KSMScale {
	k := &v1alpha1.KSMScale{Spec: v1alpha1.KSMScaleSpec{
		NodesPerMonitor: 15,
		Sharding: &v1alpha1.ShardingConfig{
			Enabled: true, ShardCount: 3, ReplicationStrategy: v1alpha1.RoundRobin, MinReplicasPerShard: 1,
		},
	}}
	k.Name = "main"
	for _, override := range overrides {
		override(&k.Spec)
	}
	return k
}

func replicas(plan scaling.Plan) []int32 {
	var all []int32
	for _, shard := range plan.Shards {
		all = append(all, shard.Replicas)
	}
	return all
}

func TestNew(t *testing.T) {
	fiveShardsAtMostFive := func(s *v1alpha1.KSMScaleSpec) { s.Sharding.ShardCount, s.Sharding.MaxReplicasPerShard = 5, 5 }
	for _, test := range []struct {
		name     string
		nodes    int
		override func(*v1alpha1.KSMScaleSpec)
		want     []int32
		bound    scaling.Bound
	}{
		{name: "10 nodes need one pod, each shard has one", nodes: 10, want: []int32{1, 1, 1}, bound: scaling.AtMinimum},
		{name: "15 nodes", nodes: 15, want: []int32{1, 1, 1}, bound: scaling.AtMinimum},
		{name: "45 nodes need just the minimum", nodes: 45, want: []int32{1, 1, 1}},
		{name: "46 nodes are one more", nodes: 46, want: []int32{2, 1, 1}},
		{name: "60 nodes", nodes: 60, want: []int32{2, 1, 1}},
		{name: "75 nodes", nodes: 75, want: []int32{2, 2, 1}},
		{name: "90 nodes", nodes: 90, want: []int32{2, 2, 2}},
		{name: "300 nodes over 5 shards with at most 5 each", nodes: 300, override: fiveShardsAtMostFive, want: []int32{4, 4, 4, 4, 4}},
		{name: "3000 nodes with at most 5 each", nodes: 3000, override: fiveShardsAtMostFive, want: []int32{5, 5, 5, 5, 5}, bound: scaling.AtMaximum},
		{name: "no nodes", nodes: 0, want: []int32{1, 1, 1}, bound: scaling.AtMinimum},
		{name: "two replicas at least", nodes: 10, want: []int32{2, 2, 2}, bound: scaling.AtMinimum,
			override: func(s *v1alpha1.KSMScaleSpec) { s.Sharding.MinReplicasPerShard = 2 }},
		{name: "minimum equals maximum", nodes: 90, want: []int32{2, 2, 2},
			override: func(s *v1alpha1.KSMScaleSpec) {
				s.Sharding.MinReplicasPerShard, s.Sharding.MaxReplicasPerShard = 2, 2
			}},
		{name: "sharding disabled keeps its bounds", nodes: 300, want: []int32{7}, bound: scaling.AtMaximum,
			override: func(s *v1alpha1.KSMScaleSpec) { s.Sharding.Enabled, s.Sharding.MaxReplicasPerShard = false, 7 }},
		{name: "no sharding", nodes: 300, want: []int32{20},
			override: func(s *v1alpha1.KSMScaleSpec) { s.Sharding = nil }},
		{name: "nodesPerMonitor not defaulted", nodes: 60, want: []int32{2, 1, 1},
			override: func(s *v1alpha1.KSMScaleSpec) { s.NodesPerMonitor = 0 }},
		{name: "contradicting bounds", nodes: 60, want: []int32{2, 2, 2}, bound: scaling.AtMaximum,
			override: func(s *v1alpha1.KSMScaleSpec) {
				s.Sharding.MinReplicasPerShard, s.Sharding.MaxReplicasPerShard = 3, 2
			}},
		{name: "greatest numbers there are", nodes: math.MaxInt, want: []int32{math.MaxInt32, math.MaxInt32, math.MaxInt32}, bound: scaling.AtMaximum,
			override: func(s *v1alpha1.KSMScaleSpec) { s.NodesPerMonitor = 1 }},
	} {
		t.Run(test.name, func(t *testing.T) {
			override := func(*v1alpha1.KSMScaleSpec) {}
			if test.override != nil {
				override = test.override
			}
			plan := scaling.New(ksmScale(override), scaling.Cluster{Nodes: test.nodes})
			assert.Equal(t, test.want, replicas(plan))
			assert.Equal(t, test.bound, plan.Bound)
			for id, shard := range plan.Shards {
				assert.Equal(t, v1alpha1.Shard{KSMScale: "main", ID: int32(id), Total: int32(len(test.want))}, shard.Shard)
			}
		})
	}
}

// drawKSMScale draws any KSMScale that the API server accepts.
func drawKSMScale(t *rapid.T) *v1alpha1.KSMScale {
	return ksmScale(func(s *v1alpha1.KSMScaleSpec) {
		s.NodesPerMonitor = rapid.Int32Range(1, math.MaxInt32).Draw(t, "nodesPerMonitor")
		if rapid.Bool().Draw(t, "small") {
			s.NodesPerMonitor = s.NodesPerMonitor%20 + 1
		}
		s.Sharding.Enabled = rapid.Bool().Draw(t, "enabled")
		s.Sharding.ShardCount = rapid.Int32Range(2, 10).Draw(t, "shardCount")
		s.Sharding.MinReplicasPerShard = rapid.Int32Range(1, math.MaxInt32).Draw(t, "minReplicasPerShard")
		if rapid.Bool().Draw(t, "usualMinimum") {
			s.Sharding.MinReplicasPerShard = s.Sharding.MinReplicasPerShard%3 + 1
		}
		if rapid.Bool().Draw(t, "limited") {
			s.Sharding.MaxReplicasPerShard = rapid.Int32Range(s.Sharding.MinReplicasPerShard, math.MaxInt32).Draw(t, "maxReplicasPerShard")
		}
	})
}

func TestPlanLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := drawKSMScale(t)
		plan := scaling.New(k, scaling.Cluster{Nodes: rapid.IntRange(0, 20_000).Draw(t, "nodes")})

		upper := k.Spec.Sharding.MaxReplicasPerShard
		if upper == 0 {
			upper = math.MaxInt32
		}
		var sum int64
		least, greatest := plan.Shards[0].Replicas, plan.Shards[0].Replicas
		for _, shard := range plan.Shards {
			sum += int64(shard.Replicas)
			least, greatest = min(least, shard.Replicas), max(greatest, shard.Replicas)
		}
		assert.Len(t, plan.Shards, int(k.TotalShards()), "every shard is in the plan")
		assert.Equal(t, plan.Desired, sum, "the shards sum to the desired replicas")
		assert.GreaterOrEqual(t, least, k.Spec.Sharding.MinReplicasPerShard, "no shard is below the minimum")
		assert.LessOrEqual(t, greatest, upper, "no shard is above the maximum")
		assert.LessOrEqual(t, greatest-least, int32(1), "shards differ by at most one")
		assert.Equal(t, plan.Bound == scaling.WithinBounds, plan.Desired == plan.Calculated, "a bound is named just when it decides")
	})
}

func TestMoreNodesNeverLowerAShard(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := drawKSMScale(t)
		nodes := rapid.IntRange(0, 20_000).Draw(t, "nodes")
		before := scaling.New(k, scaling.Cluster{Nodes: nodes})
		after := scaling.New(k, scaling.Cluster{Nodes: nodes + rapid.IntRange(1, 1000).Draw(t, "more")})
		for id := range before.Shards {
			assert.GreaterOrEqual(t, after.Shards[id].Replicas, before.Shards[id].Replicas, "shard %d", id)
		}
	})
}

func TestAcrossZones(t *testing.T) {
	for _, test := range []struct {
		name     string
		strategy v1alpha1.ReplicationStrategy
		cluster  scaling.Cluster
		want     bool
	}{
		{"not unless it is desired", v1alpha1.RoundRobin, scaling.Cluster{Placeable: 9, Zoned: 9}, false},
		{"every node has a zone", v1alpha1.ZoneAware, scaling.Cluster{Placeable: 9, Zoned: 9}, true},
		{"some nodes have a zone", v1alpha1.ZoneAware, scaling.Cluster{Placeable: 9, Zoned: 1}, true},
		{"no node has a zone", v1alpha1.ZoneAware, scaling.Cluster{Placeable: 9}, false},
		{"there is no node", v1alpha1.ZoneAware, scaling.Cluster{}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := ksmScale(func(s *v1alpha1.KSMScaleSpec) { s.Sharding.ReplicationStrategy = test.strategy })
			test.cluster.Nodes = 60
			plan := scaling.New(k, test.cluster)
			assert.Equal(t, []int32{2, 1, 1}, replicas(plan), "as round-robin")
			for _, shard := range plan.Shards {
				assert.Equal(t, test.want, shard.AcrossZones)
			}
		})
	}
}

func BenchmarkNew(b *testing.B) {
	roundRobin := ksmScale(func(s *v1alpha1.KSMScaleSpec) { s.Sharding.ShardCount = 10 })
	leastLoaded := byLoad(roundRobin.DeepCopy(), 1, 2, 3, 4, 5, 60, 7, 8, 9, 10)
	for _, k := range []*v1alpha1.KSMScale{roundRobin, leastLoaded} {
		for _, nodes := range []int{100, 1000, 5000, 15000} {
			b.Run(fmt.Sprintf("strategy=%s/nodes=%d", k.Spec.Strategy(), nodes), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					scaling.New(k, scaling.Cluster{Nodes: nodes})
				}
			})
		}
	}
}
