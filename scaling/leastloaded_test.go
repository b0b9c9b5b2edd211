package scaling_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/scaling"
)

// byLoad has replicas divided by weights.
func byLoad(k *v1alpha1.KSMScale, weights ...int32) *v1alpha1.KSMScale {
	k.Spec.Sharding.ReplicationStrategy = v1alpha1.LeastLoaded
	k.Status.ShardingStatus = &v1alpha1.ShardingStatus{
		Weights: []v1alpha1.ShardWeights{{TotalShards: int32(len(weights)), Weights: weights}},
	}
	return k
}

func TestLeastLoaded(t *testing.T) {
	bounds := func(lower, upper int32) func(*v1alpha1.KSMScaleSpec) {
		return func(s *v1alpha1.KSMScaleSpec) {
			s.Sharding.MinReplicasPerShard, s.Sharding.MaxReplicasPerShard = lower, upper
		}
	}
	for _, test := range []struct {
		name     string
		weights  []int32
		desired  int
		override func(*v1alpha1.KSMScaleSpec)
		want     []int32
	}{
		{"the minimum first", []int32{100, 1, 1}, 3, nil, []int32{1, 1, 1}},
		{"then who has most per replica", []int32{24, 8, 8}, 5, nil, []int32{3, 1, 1}},
		{"the first of those alike", []int32{24, 8, 8}, 8, nil, []int32{6, 1, 1}},
		{"then the next", []int32{24, 8, 8}, 9, nil, []int32{6, 2, 1}},
		{"as seats in a parliament", []int32{416, 338, 246}, 7, nil, []int32{3, 2, 2}},
		{"as round-robin", []int32{10, 10, 10}, 5, nil, []int32{2, 2, 1}},
		{"a higher minimum", []int32{24, 8, 8}, 8, bounds(2, 0), []int32{4, 2, 2}},
		{"a maximum", []int32{100, 1, 2}, 7, bounds(1, 3), []int32{3, 1, 3}},
		{"every maximum", []int32{100, 1, 2}, 20, bounds(1, 3), []int32{3, 3, 3}},
		{"contradicting bounds", []int32{100, 1, 2}, 20, bounds(3, 2), []int32{2, 2, 2}},
		{"weights of another number of shards", []int32{24, 8}, 5, nil, []int32{2, 2, 1}},
		{"weights that are none", []int32{0, 8, 8}, 5, nil, []int32{2, 2, 1}},
		{"weights that are too great", []int32{math.MaxInt32, 8, 8}, 5, nil, []int32{2, 2, 1}},
		{"very many", []int32{1000, 1, 1}, math.MaxInt, nil, []int32{math.MaxInt32, math.MaxInt32, math.MaxInt32}},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := ksmScale(func(s *v1alpha1.KSMScaleSpec) { s.NodesPerMonitor = 1 })
			if test.override != nil {
				test.override(&k.Spec)
			}
			assert.Equal(t, test.want, replicas(scaling.New(byLoad(k, test.weights...), scaling.Cluster{Nodes: test.desired})))
		})
	}
}

func TestWeightsAreForLeastLoadedOnly(t *testing.T) {
	k := byLoad(ksmScale(), 24, 8, 8)
	k.Spec.Sharding.ReplicationStrategy = v1alpha1.RoundRobin
	assert.Equal(t, []int32{2, 2, 1}, replicas(scaling.New(k, scaling.Cluster{Nodes: 75})))
}

func TestEachPartitionHasItsOwnWeights(t *testing.T) {
	k := byLoad(ksmScale(), 24, 8, 8)
	k.Spec.Sharding.ShardCount = 2
	cluster := scaling.Cluster{Nodes: 75}
	assert.Equal(t, []int32{3, 2}, replicas(scaling.New(k, cluster)), "which has not been measured")
	assert.Equal(t, []int32{3, 1, 1}, replicas(scaling.NewPartition(k, cluster, 3)), "which it takes over from")
}

func drawWeights(t *rapid.T, shards int) []int32 {
	return rapid.SliceOfN(rapid.Int32Range(1, v1alpha1.MaxWeight), shards, shards).Draw(t, "weights")
}

// seats gives out replicas one by one.
func seats(desired int64, weights []int32, lower, upper int32) []int32 {
	expected := make([]int32, len(weights))
	for id := range expected {
		expected[id] = lower
	}
	for given := int64(lower) * int64(len(weights)); given < desired; given++ {
		next, highest := -1, 0.0
		for id, weight := range weights {
			if quotient := float64(weight) / float64(expected[id]+1); expected[id] < upper && quotient > highest {
				next, highest = id, quotient
			}
		}
		expected[next]++
	}
	return expected
}

func TestLeastLoadedLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := drawKSMScale(t)
		weights := drawWeights(t, int(k.TotalShards()))
		byLoad(k, weights...)
		nodes := rapid.IntRange(0, 20_000).Draw(t, "nodes")
		plan := scaling.New(k, scaling.Cluster{Nodes: nodes})
		lower, upper := scaling.ReplicaBounds(k.Spec.Sharding)

		var sum int64
		for _, shard := range plan.Shards {
			sum += int64(shard.Replicas)
			assert.GreaterOrEqual(t, shard.Replicas, lower)
			assert.LessOrEqual(t, shard.Replicas, upper)
		}
		assert.Equal(t, plan.Desired, sum, "the shards sum to the desired replicas")
		more := scaling.New(k, scaling.Cluster{Nodes: nodes + rapid.IntRange(1, 1000).Draw(t, "more")})
		for id := range plan.Shards {
			assert.GreaterOrEqual(t, more.Shards[id].Replicas, plan.Shards[id].Replicas, "more nodes lower no shard")
		}
		if plan.Desired-int64(lower)*int64(len(weights)) <= 20_000 {
			assert.Equal(t, seats(plan.Desired, weights, lower, upper), replicas(plan), "as if given out one by one")
		}
	})
}

func TestEqualWeightsAreRoundRobin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := drawKSMScale(t)
		cluster := scaling.Cluster{Nodes: rapid.IntRange(0, math.MaxInt32).Draw(t, "nodes")}
		roundRobin := scaling.New(k, cluster)
		weights := make([]int32, k.TotalShards())
		for id := range weights {
			weights[id] = rapid.Int32Range(1, v1alpha1.MaxWeight).Draw(t, "weight")
			weights[id] = weights[0]
		}
		assert.Equal(t, roundRobin, scaling.New(byLoad(k, weights...), cluster))
		assert.Equal(t, roundRobin, scaling.New(byLoad(k), cluster), "as without weights")
	})
}
