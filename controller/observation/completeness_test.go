package observation

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/completeness"
	"github.com/example/ksmscale/controller/fixtures"
	"github.com/example/ksmscale/measurements"
)

func TestCompletenessAddsUpTheShards(t *testing.T) {
	name := func(id int32, suffix string) string { return fixtures.Shard(id).Name() + "-" + suffix }
	readings := map[string]measurements.Measurement{}
	m, changed := measuring(t, readings, deploymentOf(0), deploymentOf(1), deploymentOf(2), podOf(0, "a"), podOf(1, "a"), podOf(1, "b"), podOf(2, "a"),
		podOf(2, "b", func(p *corev1.Pod) { p.OwnerReferences = nil }))
	clock, isFake := m.clock.(*clocktesting.FakeClock)
	require.True(t, isFake)
	round := func(exposed map[string]int64) {
		clock.Step(time.Minute)
		for pod, objects := range exposed {
			readings[pod] = measurements.Measurement{Counts: measurements.Counts{
				RoundAt: clock.Now(), Interval: time.Minute,
				Resources: map[string]measurements.Count{"pods": {Before: 30, After: 30, Exposed: objects}},
			}}
		}
		require.NoError(t, m.Poll(t.Context()))
	}
	whole := map[string]int64{name(0, "a"): 10, name(1, "a"): 8, name(1, "b"): 8, name(2, "a"): 12, name(2, "b"): 0}
	for range completeness.Rounds - 1 {
		round(whole)
		assert.Equal(t, completeness.Result{Waiting: true}, m.Completeness("main", 3))
	}
	<-changed
	round(whole)
	<-changed
	assert.Equal(t, completeness.Result{Known: true, Resources: map[string]completeness.Missing{"pods": {}}, NotCompared: map[string]string{}}, m.Completeness("main", 3), "not the pod of a stranger")
	assert.Equal(t, m.Completeness("main", 3), m.Completeness("main", 5), "of the partition before, while resharding")
	assert.Equal(t, completeness.Result{Waiting: true}, m.Completeness("other", 3), "no poll has looked at it")

	round(whole)
	assert.Empty(t, changed, "nothing changed")
	one := map[string]int64{name(0, "a"): 10, name(1, "a"): 8, name(1, "b"): 3, name(2, "a"): 12}
	for range completeness.Rounds {
		assert.Zero(t, m.Completeness("main", 3).Total())
		round(one)
	}
	assert.EqualValues(t, 5, m.Completeness("main", 3).Total(), "one replica has lost objects")
}

// A new leader has not looked at the gates, which is no sign that they do not count.
func TestCompletenessBeforeTheFirstPoll(t *testing.T) {
	m, _ := measuring(t, nil)
	assert.Equal(t, completeness.Result{Waiting: true}, m.Completeness("main", 3))
}

// complete returns readings of a round of the three shards of the KSMScale main, and its pods.
func complete(at time.Time) ([]corev1.Pod, map[types.UID]measurements.Measurement) {
	var pods []corev1.Pod
	readings := map[types.UID]measurements.Measurement{}
	for id := range int32(3) {
		pods = append(pods, *podOf(id, "a"))
		readings[pods[id].UID] = measurements.Measurement{Counts: measurements.Counts{
			RoundAt: at, Interval: time.Minute, Resources: map[string]measurements.Count{"pods": {Before: 30, After: 30, Exposed: 10}},
		}}
	}
	return pods, readings
}

// With one replica, a shard without its pod leaves no one who counts.
func TestAPartitionWithoutPodsIsKnownForTenMinutes(t *testing.T) {
	all, counts, now := []v1alpha1.KSMScale{*fixtures.KSMScale()}, partitionCounts{}, fixtures.Time
	current := partitionKey{"main", all[0].UID, 3}
	assert.True(t, counts.add(all, nil, nil, now)[current].Waiting, "a new leader does not know for how long nothing has counted")
	for range completeness.Rounds {
		now = now.Add(time.Minute)
		pods, readings := complete(now)
		counts.add(all, pods, readings, now)
	}
	known := counts.add(all, nil, nil, now)[current]
	require.True(t, known.Known)
	for range 10 {
		now = now.Add(time.Minute)
		assert.Equal(t, known, counts.add(all, nil, nil, now)[current])
	}
	now = now.Add(time.Minute)
	assert.Equal(t, completeness.Result{}, counts.add(all, nil, nil, now)[current])
}

func TestPartitionsThatAreGoneAreForgotten(t *testing.T) {
	before, resharded := []v1alpha1.KSMScale{*fixtures.KSMScale()}, []v1alpha1.KSMScale{*fixtures.Sharded(5)}
	recreated := []v1alpha1.KSMScale{*fixtures.KSMScale(func(k *v1alpha1.KSMScale) { k.UID = "another" })}
	for name, test := range map[string]struct {
		after []v1alpha1.KSMScale
		ages  map[time.Duration]int
	}{
		"another number of shards":                     {resharded, map[time.Duration]int{time.Minute: 2, 11 * time.Minute: 1}},
		"a deleted KSMScale":                           {nil, map[time.Duration]int{time.Minute: 0}},
		"a KSMScale that is deleted and created again": {recreated, map[time.Duration]int{time.Minute: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			counts, now := partitionCounts{}, fixtures.Time
			for range completeness.Rounds {
				now = now.Add(time.Minute)
				pods, readings := complete(now)
				counts.add(before, pods, readings, now)
			}
			for _, age := range slices.Sorted(maps.Keys(test.ages)) {
				results := counts.add(test.after, nil, nil, now.Add(age))
				assert.Len(t, results, test.ages[age], age)
				assert.Len(t, counts, test.ages[age], age)
			}
		})
	}
}

// While resharding, the shards that are new wait, whatever has become of the others.
func TestCompletenessWaitsForEachPartition(t *testing.T) {
	m, _ := measuring(t, nil)
	m.last.Objects.completeness = map[partitionKey]completeness.Result{{"main", "uid", 3}: {}, {"main", "uid", 5}: {Waiting: true}, {"other", "other", 3}: {Waiting: true}}
	assert.True(t, m.Completeness("main", 3).Waiting)
	m.last.Objects.completeness[partitionKey{"main", "uid", 5}] = completeness.Result{}
	assert.False(t, m.Completeness("main", 3).Waiting)
	assert.True(t, m.Completeness("main", 7).Waiting, "no poll has looked at it")
}

func TestPollsAreBetweenTheRounds(t *testing.T) {
	for second, want := range map[int]time.Duration{0: 30 * time.Second, 29: time.Second, 30: 0, 31: 59 * time.Second, 59: 31 * time.Second} {
		assert.Equal(t, want, untilMidInterval(fixtures.Time.Truncate(time.Minute).Add(time.Duration(second)*time.Second), time.Minute), second)
	}
}
