package gate

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/example/ksmscale/gate/ksm"
	"github.com/example/ksmscale/gate/sharding"
	"github.com/example/ksmscale/measurements"
)

// newCountingFixture has an open gate that counts every minute, with the options of a gate.
func newCountingFixture(t *testing.T, options *Options, pods ...string) *fixture {
	t.Helper()
	f := newFixture(t, pods...)
	if options.Resources == nil {
		options.Resources = []string{"pods", "nodes"}
	}
	options.CountInterval = time.Minute
	f.counting = newCounting(options)
	f.cluster.Namespaces, f.cluster.NamespacesDenylist, f.cluster.Limit = options.Namespaces, options.NamespacesDenylist, options.ObjectLimit
	var err error
	f.exported, err = options.exported()
	require.NoError(t, err)
	return f
}

// counts counts one round of a process, by default the running one, and returns what the controller reads.
func (f *fixture) counts(t *testing.T, counted rounds) measurements.Counts {
	t.Helper()
	running, err := f.running(t.Context())
	require.NoError(t, err)
	if counted.of == (ksm.Process{}) {
		counted.of = running
	}
	kinds, uncounted := f.countable(running)
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.countOnce(t.Context(), kinds, counted, measurements.Counts{RoundAt: f.clock.Now(), Interval: time.Minute, Uncounted: uncounted})
	}()
	for {
		select {
		case <-done:
			return f.measurement(t).Counts
		case <-time.After(time.Millisecond):
			f.clock.Step(countPause)
		}
	}
}

func newRounds() rounds {
	return rounds{identified: sets.New[string](), refused: sets.New[string]()}
}

func TestCountsTheClusterAndTheExposedObjects(t *testing.T) {
	f := newCountingFixture(t, &Options{}, "a", "b", "c", "d")
	f.api.create("nodes", "", "n")
	f.expose("a", "b", "other/a")
	at := f.clock.Now()
	counts := f.counts(t, newRounds())
	assert.Equal(t, measurements.Counts{
		RoundAt: at, Interval: time.Minute, Uncounted: map[string]string{},
		Resources: map[string]measurements.Count{"pods": {Before: 4, After: 4, Exposed: 3}, "nodes": {Before: 1, After: 1}},
	}, counts)
	assert.Equal(t, map[string]int{"pods": 2, "nodes": 2}, f.api.pages, "one small request before, and one after")
}

func TestNamespacesAreCountedOneByOne(t *testing.T) {
	create := func(f *fixture) {
		f.api.create("pods", "one", "a", "b")
		f.api.create("pods", "two", "a")
		f.api.create("pods", "three", "a", "b", "c")
		f.api.create("nodes", "", "n")
		f.expose("one/a")
	}
	t.Run("only some", func(t *testing.T) {
		f := newCountingFixture(t, &Options{Namespaces: []string{"one", "two", "empty"}})
		create(f)
		assert.EqualValues(t, 3, f.counts(t, newRounds()).Resources["pods"].After)
		f.api.refusing(forbidden, "pods", "one")
		assert.EqualValues(t, 1, f.counts(t, newRounds()).Resources["pods"].After)
		f.api.refusing(forbidden, "pods", "two", "empty")
		assert.Equal(t, measurements.UncountedForbidden, f.counts(t, newRounds()).Uncounted["pods"])
	})
	t.Run("all but some", func(t *testing.T) {
		f := newCountingFixture(t, &Options{NamespacesDenylist: []string{"two", "three", "two"}})
		create(f)
		counts := f.counts(t, newRounds())
		assert.EqualValues(t, 2, counts.Resources["pods"].Before)
		assert.EqualValues(t, 1, counts.Resources["nodes"].Before)
	})
}

func TestWhatIsNotCounted(t *testing.T) {
	t.Run("with a limit of objects", func(t *testing.T) {
		f := newCountingFixture(t, &Options{ObjectLimit: 100}, "a")
		f.expose("a")
		assert.Equal(t, map[string]string{"pods": measurements.UncountedLimited, "nodes": measurements.UncountedLimited}, f.counts(t, newRounds()).Uncounted)
		assert.Empty(t, f.api.pages)
	})
	t.Run("without a family for each object", func(t *testing.T) {
		f := newCountingFixture(t, &Options{MetricDenylist: []string{"kube_pod_created", "kube_pod_info"}}, "a")
		f.expose("a")
		counts := f.counts(t, newRounds())
		assert.Equal(t, map[string]string{"pods": measurements.UncountedUnidentified}, counts.Uncounted)
		assert.NotContains(t, counts.Resources, "pods")
	})
	t.Run("of a version that does not have this family", func(t *testing.T) {
		f := newCountingFixture(t, &Options{}, "a")
		f.exposeText("kube_pod_status_phase{namespace=\"default\",pod=\"a\",phase=\"Running\"} 1\n")
		counts := f.counts(t, newRounds())
		assert.Equal(t, map[string]string{"pods": measurements.UncountedUnidentified}, counts.Uncounted)
		assert.NotContains(t, counts.Resources, "pods")
	})
	t.Run("of a shard without objects, until it has had one", func(t *testing.T) {
		f := newCountingFixture(t, &Options{}, "a")
		f.exposeText("")
		counted := newRounds()
		counts := f.counts(t, counted)
		assert.Equal(t, map[string]string{"pods": measurements.UncountedUnexposed}, counts.Uncounted)
		assert.Equal(t, measurements.Count{Before: 1, After: 1}, counts.Resources["pods"], "the gates of other shards may tell")
		f.expose("a")
		assert.EqualValues(t, 1, f.counts(t, counted).Resources["pods"].Exposed)
		f.exposeText("")
		counts = f.counts(t, counted)
		assert.Empty(t, counts.Uncounted)
		assert.Equal(t, measurements.Count{Before: 1, After: 1}, counts.Resources["pods"], "all are lost")
	})
	t.Run("without the right to list, until there is", func(t *testing.T) {
		f := newCountingFixture(t, &Options{}, "a")
		f.expose("a")
		f.api.refusing(forbidden, "nodes")
		counted := newRounds()
		counts := f.counts(t, counted)
		assert.Equal(t, map[string]string{"nodes": measurements.UncountedForbidden}, counts.Uncounted)
		assert.Len(t, counts.Resources, 1)
		f.api.accepting()
		assert.Empty(t, f.counts(t, counted).Uncounted)
	})
	t.Run("if a count fails, for one round", func(t *testing.T) {
		f := newCountingFixture(t, &Options{}, "a")
		f.expose("a")
		f.api.refusing(undecryptable, "nodes")
		counts := f.counts(t, newRounds())
		assert.Empty(t, counts.Uncounted)
		assert.NotContains(t, counts.Resources, "nodes")
		assert.InDelta(t, 2, testutil.ToFloat64(f.metrics.counted.Failures), 0)
	})
}

// A kube-state-metrics of another shard exposes about as many objects.
func TestObjectsOfOtherShardsAreCounted(t *testing.T) {
	f := newCountingFixture(t, &Options{})
	f.cluster.Shard = sharding.Shard{ID: 1, Total: 2}
	text, foreign := "", int64(0)
	for i := range 100 {
		uid := fmt.Sprintf("00000000-0000-4000-8000-%012d", i)
		text += fmt.Sprintf("kube_pod_created{namespace=\"default\",pod=\"p-%d\",uid=%q} 1\n", i, uid)
		if !f.cluster.Shard.Has(types.UID(uid)) {
			foreign++
		}
	}
	f.exposeText(text)
	count := f.counts(t, newRounds()).Resources["pods"]
	assert.EqualValues(t, 100, count.Exposed)
	assert.Equal(t, foreign, count.Foreign)
	assert.InDelta(t, 50, foreign, 25)
}

func TestARoundOfTwoProcessesDoesNotCount(t *testing.T) {
	f := newCountingFixture(t, &Options{}, "a")
	f.expose("a")
	before := f.counts(t, newRounds())
	running, err := f.running(t.Context())
	require.NoError(t, err)
	f.restart()
	counted := newRounds()
	counted.of = running
	assert.Equal(t, before, f.counts(t, counted))
	assert.InDelta(t, 1, testutil.ToFloat64(f.metrics.counted.Failures), 0)
}

// All gates begin their rounds at the same time, whenever they have opened.
func TestRoundsBeginAtTheSameTime(t *testing.T) {
	f := newCountingFixture(t, &Options{}, "a")
	f.expose("a")
	f.clock.Step(17 * time.Second)
	f.start(t)
	f.becomes(t, "")
	// The clock goes on while the gate counts, so the gate may leave out a round.
	roundAfter := func(last time.Time) time.Time {
		var began time.Time
		require.Eventually(t, func() bool {
			f.clock.Step(200 * time.Millisecond)
			began = f.measurement(t).RoundAt
			return began.After(last)
		}, time.Minute, time.Millisecond)
		assert.Equal(t, began.Truncate(time.Minute), began)
		return began
	}
	roundAfter(roundAfter(f.clock.Now()))

	f.silence() // The gate is closed without a process that is complete.
	require.Eventually(t, func() bool {
		f.clock.Step(time.Second)
		return f.measurement(t).RoundAt.IsZero()
	}, time.Minute, time.Millisecond)
}

func TestRoundsAreLongerWithManyRequests(t *testing.T) {
	c := counting{interval: time.Minute}
	for requests, want := range map[int]time.Duration{0: time.Minute, countBurst: time.Minute, 399: time.Minute, 400: 2 * time.Minute, 3100: 11 * time.Minute} {
		assert.Equal(t, want, c.round(requests), requests)
		needed := time.Duration(max(requests-countBurst, 0)) * time.Second / countRate
		assert.LessOrEqual(t, needed, c.round(requests)/2)
	}
}
