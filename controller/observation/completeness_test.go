package observation

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	clocktesting "k8s.io/utils/clock/testing"

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
	assert.Equal(t, completeness.Result{}, m.Completeness("other", 3))

	round(whole)
	assert.Empty(t, changed, "nothing changed")
	one := map[string]int64{name(0, "a"): 10, name(1, "a"): 8, name(1, "b"): 3, name(2, "a"): 12}
	for range completeness.Rounds {
		assert.Zero(t, m.Completeness("main", 3).Total())
		round(one)
	}
	assert.EqualValues(t, 5, m.Completeness("main", 3).Total(), "one replica has lost objects")
}

func TestPollsAreBetweenTheRounds(t *testing.T) {
	for second, want := range map[int]time.Duration{0: 30 * time.Second, 29: time.Second, 30: 0, 31: 59 * time.Second, 59: 31 * time.Second} {
		assert.Equal(t, want, untilMidInterval(fixtures.Time.Truncate(time.Minute).Add(time.Duration(second)*time.Second), time.Minute), second)
	}
}
