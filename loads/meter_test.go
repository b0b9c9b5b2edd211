package loads

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/scaling"
)

// Two hours of equal loads. In the first, the cluster grows and shrinks. In the second, one shard has twice as many
// replicas as the others.
func TestEqualLoadsDoNotFlap(t *testing.T) {
	for _, test := range []struct {
		name          string
		idle, scrapes float64
		onePod        bool
	}{
		{"few scrapes", 0.5, 0.01, false},
		{"many scrapes, of every pod", 0.01, 0.5, false},
		{"many scrapes, of one pod", 0.01, 0.5, true},
		{"as many as anything else, of every pod", 0.2, 0.2, false},
		{"as many as anything else, of one pod", 0.2, 0.2, true},
		{"nothing to do", 0, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(test.scrapes, test.scrapes, test.scrapes)
			w.idle, w.onePod, w.noise = test.idle, test.onePod, 0.3
			for _, nodes := range append([]int{45, 60, 75, 90, 105, 300, 120, 60, 150, 75, 60, 61}, slices.Repeat([]int{60}, 12)...) {
				w.nodes = nodes
				w.pass(t, 5*time.Minute)
				byLoad := w.scale()
				roundRobin := w.ksmScale.DeepCopy()
				roundRobin.Spec.Sharding.ReplicationStrategy = v1alpha1.RoundRobin
				for _, shard := range scaling.New(roundRobin, scaling.Cluster{Nodes: nodes}).Shards {
					assert.Equal(t, shard.Replicas, byLoad[shard.ID], "%d nodes", nodes)
				}
			}
			assert.Equal(t, [][]int32{{10, 10, 10}}, w.recorded)
			assert.Equal(t, 1, w.told)
		})
	}
}

// seats are computed by D'Hondt's method: the highest quotients of a weight and a number of replicas.
func seats(total int, weights []int32) []int32 {
	type quotient struct {
		value float64
		shard int
	}
	var quotients []quotient
	replicas := make([]int32, len(weights))
	for shard, weight := range weights {
		replicas[shard] = 1 // the minimum
		for divisor := 2; divisor <= total; divisor++ {
			quotients = append(quotients, quotient{float64(weight) / float64(divisor), shard})
		}
	}
	slices.SortStableFunc(quotients, func(a, b quotient) int {
		switch {
		case a.value > b.value:
			return -1
		case a.value < b.value:
			return 1
		default:
			return a.shard - b.shard
		}
	})
	for _, quotient := range quotients[:total-len(weights)] {
		replicas[quotient.shard]++
	}
	return replicas
}

// Two shards are busy in turn, because of many scrapes. The cluster grows in ten steps each time.
func TestReplicasAreSeatsOfTheWeights(t *testing.T) {
	for _, onePod := range []bool{false, true} {
		w := newWorld(0.1, 0.1, 0.1)
		w.onePod, w.noise = onePod, 0.2
		w.pass(t, 15*time.Minute)
		require.Equal(t, [][]int32{{10, 10, 10}}, w.recorded)
		for busy := range 2 {
			for id := range w.scrapes {
				w.scrapes[id] = 0.1
			}
			w.scrapes[busy] = 2
			w.nodes = 45
			w.pass(t, 40*time.Minute)
			settled := len(w.recorded)
			for step := range 10 {
				w.nodes += 15
				w.pass(t, 5*time.Minute)
				weights := w.ksmScale.Status.WeightsOf(3)
				assert.Equal(t, seats(4+step, weights), w.scale(), "weights %v", weights)
			}
			weights := w.ksmScale.Status.WeightsOf(3)
			assert.Greater(t, weights[busy], 3*max(weights[(busy+1)%3], weights[(busy+2)%3]), "%v", weights)
			assert.GreaterOrEqual(t, w.scale()[busy], int32(8), "most of them are of the busy shard")
			assert.LessOrEqual(t, len(w.recorded)-settled, 1, "growth changes no load: %v", w.recorded)
		}
	}
}

// The time that scrapes take separates the load from the cost of an idle replica.
func TestReplicasThatHaveNothingToDoAreNoLoad(t *testing.T) {
	w := newWorld(4, 0.01, 0.01)
	w.idle, w.nodes = 1, 150
	w.pass(t, time.Hour)
	require.GreaterOrEqual(t, w.scale()[0], int32(6))

	w.scrapes[0] = 0.01
	w.pass(t, 2*time.Hour)
	assert.Equal(t, []int32{10, 10, 10}, w.ksmScale.Status.WeightsOf(3))
	assert.Equal(t, []int32{4, 3, 3}, w.scale())
}

func TestShortPeaksChangeNothing(t *testing.T) {
	w := newWorld(0.1, 0.1, 0.1)
	w.pass(t, 15*time.Minute)
	for range 5 {
		w.scrapes[1] = 1
		w.pass(t, 2*time.Minute)
		w.scrapes[1] = 0.1
		w.pass(t, 20*time.Minute)
	}
	assert.Equal(t, [][]int32{{10, 10, 10}}, w.recorded)
}

func TestLoadsThatAreHardlyAnyAreAlike(t *testing.T) {
	w := newWorld(0.001, 0.008, 0)
	w.idle = 0.001
	w.pass(t, time.Hour)
	assert.Equal(t, [][]int32{{10, 10, 10}}, w.recorded)
}

func TestWithoutMeasurement(t *testing.T) {
	t.Run("of any pod, there are no weights", func(t *testing.T) {
		w := newWorld(0.1, 2, 0.1)
		clear(w.used)
		w.pass(t, time.Hour)
		assert.Empty(t, w.recorded)
	})
	t.Run("of a shard, there are none either", func(t *testing.T) {
		w := newWorld(0.1, 2, 0.1)
		delete(w.used, w.pods[1].UID)
		w.pass(t, time.Hour)
		assert.Empty(t, w.recorded)
	})
	t.Run("by gates, there are none", func(t *testing.T) {
		w := newWorld(0.1, 2, 0.1)
		w.deaf = true
		w.pass(t, time.Hour)
		assert.Empty(t, w.recorded)
	})
	t.Run("any more, they stay", func(t *testing.T) {
		w := newWorld(0.1, 2, 0.1)
		w.pass(t, 15*time.Minute)
		require.Len(t, w.recorded, 1)
		clear(w.used)
		w.pass(t, time.Hour)
		assert.Len(t, w.recorded, 1)
		assert.Equal(t, w.recorded[0], w.ksmScale.Status.WeightsOf(3))
	})
	t.Run("of a process from its start on", func(t *testing.T) {
		w := newWorld(0.1, 0.1, 0.1)
		w.pass(t, 15*time.Minute)
		for range 20 {
			before := w.used[w.pods[1].UID]
			w.used[w.pods[1].UID] = reading{cpu: before.cpu + 1000, started: before.started + 1}
			w.pass(t, interval)
		}
		assert.Len(t, w.recorded, 1)
	})
}

func TestRestartedControllerKeepsWeights(t *testing.T) {
	w := newWorld(0.1, 2, 0.1)
	w.pass(t, 30*time.Minute)
	require.NotEmpty(t, w.recorded)
	before := w.recorded[len(w.recorded)-1]
	w.meter.partitions, w.meter.last = map[key]*partition{}, map[types.UID]reading{}
	w.told = 0
	w.pass(t, time.Hour)
	assert.Equal(t, before, w.ksmScale.Status.WeightsOf(3))
	assert.Zero(t, w.told)
}

func TestWeightsWhileResharding(t *testing.T) {
	w := newWorld(0.1, 2, 0.1)
	w.pass(t, 30*time.Minute)
	before := w.ksmScale.Status.WeightsOf(3)
	require.NotNil(t, before)

	w.ksmScale.Spec.Sharding.ShardCount = 5
	w.ksmScale.Status.ShardingStatus.Partitions = []int32{3, 5}
	w.ksmScale.Status.ShardingStatus.TotalShards = 5
	for id := range int32(5) {
		w.create(v1alpha1.Shard{KSMScale: "main", ID: id, Total: 5})
	}
	for range 40 {
		w.clock.Step(interval)
		for _, pod := range w.pods {
			w.use(pod.UID, 1)
		}
		w.round(t)
	}
	assert.Equal(t, before, w.ksmScale.Status.WeightsOf(3), "the shards from before keep theirs")
	assert.Nil(t, w.ksmScale.Status.WeightsOf(5), "and the new ones do not get them")

	w.ksmScale.Status.ShardingStatus.Partitions = []int32{5}
	for range 40 {
		w.clock.Step(interval)
		for _, pod := range w.pods {
			w.use(pod.UID, 1)
		}
		w.round(t)
	}
	assert.Equal(t, []int32{10, 10, 10, 10, 10}, w.ksmScale.Status.WeightsOf(5))
	assert.Nil(t, w.ksmScale.Status.WeightsOf(3))
}

func TestOtherStrategiesAreNotMeasured(t *testing.T) {
	w := newWorld(0.1, 2, 0.1)
	w.pass(t, 30*time.Minute)
	w.ksmScale.Spec.Sharding.ReplicationStrategy = v1alpha1.RoundRobin
	w.meter.read = func(context.Context, *corev1.Pod) (reading, error) {
		t.Error("a pod is read")
		return reading{}, nil
	}
	w.pass(t, time.Minute)
	assert.Empty(t, w.ksmScale.Status.ShardingStatus.Weights)
}

// A pod with the labels of a shard that does not belong to its Deployment does not count for the shard's load.
func TestPodsOfOthersAreNotMeasured(t *testing.T) {
	w := newWorld(0.1, 0.1, 0.1)
	w.create(v1alpha1.Shard{KSMScale: "main", ID: 1, Total: 3})
	w.pods[3].OwnerReferences = nil
	w.meter.read = func(_ context.Context, pod *corev1.Pod) (reading, error) {
		assert.NotEqual(t, w.pods[3].Name, pod.Name)
		return w.used[pod.UID], nil
	}
	w.round(t)
}

func TestStart(t *testing.T) {
	w := newWorld(0.1, 0.1, 0.1)
	reads := make(chan struct{}, 100)
	w.meter.read = func(context.Context, *corev1.Pod) (reading, error) {
		reads <- struct{}{}
		return reading{}, errors.New("connection refused")
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- w.meter.Start(ctx) }()
	require.Eventually(t, w.clock.HasWaiters, time.Minute, time.Millisecond)
	assert.Empty(t, reads)
	w.clock.Step(interval)
	for range 3 {
		<-reads
	}
	stop()
	assert.NoError(t, <-ended)
}
