package gate

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"pgregory.net/rapid"

	"github.com/example/ksmscale/gate/apiserver"
	"github.com/example/ksmscale/gate/exposition"
	"github.com/example/ksmscale/gate/sharding"
)

func TestRelistPause(t *testing.T) {
	for name, test := range map[string]struct {
		listing  listing
		exposes  bool
		expected time.Duration
	}{
		"some are exposed":                    {listing{seen: true}, true, time.Second},
		"again":                               {listing{seen: true, relists: 2}, true, 4 * time.Second},
		"a long list":                         {listing{seen: true, took: 6 * time.Second}, true, 12 * time.Second},
		"a long list, once more":              {listing{seen: true, took: 6 * time.Second, relists: 5}, true, time.Minute},
		"a very long list":                    {listing{seen: true, took: 2 * time.Minute, relists: 5}, true, 4 * time.Minute},
		"none is exposed":                     {listing{}, true, 5 * time.Second},
		"none of a long list is exposed":      {listing{took: 3 * time.Second}, true, 30 * time.Second},
		"nothing is exposed of any resource":  {listing{took: time.Second}, false, nothingRelistPause},
		"nothing, though some were seen once": {listing{seen: true}, false, nothingRelistPause},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.expected, test.listing.relistPause(test.exposes))
		})
	}
}

func TestADoubledPauseStaysWithinItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pause := time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "pause"))
		times := rapid.IntRange(0, 100).Draw(t, "times")
		bound := time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "bound"))
		actual := doubled(pause, times, bound)
		require.GreaterOrEqual(t, actual, pause)
		require.LessOrEqual(t, actual, max(pause, bound))
	})
}

func TestForeignObjectsAreThoseExposedBeforeAndAfterTheyWereListedAgain(t *testing.T) {
	pods := &listing{Resource: exposition.Resources["pods"]}
	others := apiserver.Listed{Own: sets.New[exposition.Object](), Others: sets.New[exposition.Object](1, 2)}
	expose := func(objects ...exposition.Object) {
		seen, ended := pods.look()
		for _, one := range objects {
			seen(one)
		}
		ended()
	}
	list := func() {
		pods.succeed(apiserver.Listed{Own: sets.New[exposition.Object](), Others: others.Others.Clone()}, time.Time{}, time.Time{})
	}
	list()
	expose(1, 2, 3)
	assert.Equal(t, sets.New[exposition.Object](1, 2), pods.suspects)
	expose(1, 2, 3)
	assert.Empty(t, pods.foreign, "they were not listed again")
	others.Others.Delete(2)
	list()
	assert.Empty(t, pods.foreign, "the gate has not looked again")
	expose(1, 2)
	assert.Equal(t, sets.New[exposition.Object](1), pods.foreign, "the other belongs to this shard now")
	expose(2)
	assert.Empty(t, pods.foreign)
	assert.Empty(t, pods.suspects)
}

// Each list of all objects costs the API server resources. kube-state-metrics without any exposed object has not listed
// anything.
func TestListsSeldomWhileNothingIsExposed(t *testing.T) {
	f := newFixture(t, "a", "b")
	f.expose()
	f.stepWhileItSleeps(t)
	f.start(t)
	began := f.clock.Now()
	require.Eventually(t, func() bool { return f.clock.Since(began) > 10*time.Minute }, time.Minute, time.Millisecond)
	before := f.api.listsOf("pods")
	assert.LessOrEqual(t, before, 3, "in %s", f.clock.Since(began))
}

func TestAListThatFails(t *testing.T) {
	f := newFixture(t, "a", "b")
	f.api.refusing(undecryptable, "nodes")
	f.expose("a")
	f.start(t)
	f.becomes(t, "the gate cannot list nodes: see its log for the reason")
	assert.NotContains(t, f.Check(t.Context()).Error(), "decrypt", "errors can have names of objects")
	f.becomes(t, "pods: 1")
	f.expose("a", "b")
	f.becomes(t, "cannot list nodes")
	f.clock.Step(2 * f.deadline)
	f.becomes(t, "")
	assert.InDelta(t, 1, testutil.ToFloat64(f.metrics.openedByDeadline), 0)
	assert.Positive(t, testutil.ToFloat64(f.metrics.listErrors.WithLabelValues("nodes")))
	assert.Zero(t, testutil.ToFloat64(f.metrics.listErrors.WithLabelValues("pods")))

	t.Run("of everything that is exposed", func(t *testing.T) {
		f := newFixture(t, "a")
		f.api.refusing(undecryptable, "*")
		f.expose("a")
		f.start(t)
		f.becomes(t, "cannot list nodes, pods")
		f.clock.Step(2 * f.deadline)
		f.becomes(t, "")
	})
	t.Run("recovers", func(t *testing.T) {
		f := newFixture(t, "a")
		f.api.refusing(undecryptable, "pods")
		f.expose("a")
		f.start(t)
		f.becomes(t, "cannot list pods")
		f.api.accepting()
		f.becomes(t, "")
		assert.Zero(t, testutil.ToFloat64(f.metrics.openedByDeadline))
	})
	t.Run("is tried less and less often", func(t *testing.T) {
		f := newFixture(t, "a")
		f.api.refusing(undecryptable, "pods")
		f.stepWhileItSleeps(t)
		f.start(t)
		began := f.clock.Now()
		require.Eventually(t, func() bool { return f.clock.Since(began) > 10*time.Minute }, time.Minute, time.Millisecond)
		assert.LessOrEqual(t, f.api.listsOf("pods"), 30)
	})
}

func TestRightsByNamespace(t *testing.T) {
	newLimited := func(t *testing.T) *fixture {
		f := newFixture(t, "a", "b")
		f.cluster.Namespaces = []string{"default", "other"}
		f.api.refusing(forbidden, "nodes")
		return f
	}
	t.Run("refused in one, what is exposed of the other counts", func(t *testing.T) {
		f := newLimited(t)
		f.api.refusing(forbidden, "pods", "other")
		f.expose()
		f.start(t)
		f.becomes(t, "pods: 2")
		f.expose("a", "b")
		f.becomes(t, "")
		assert.Zero(t, testutil.ToFloat64(f.metrics.openedByDeadline))
	})
	t.Run("both count where both may be listed", func(t *testing.T) {
		f := newLimited(t)
		f.api.create("pods", "other", "c")
		f.expose("a", "b")
		f.start(t)
		f.becomes(t, "pods: 1")
		f.expose("a", "b", "other/c")
		f.becomes(t, "")
	})
	t.Run("refused in both, the gate stays shut", func(t *testing.T) {
		f := newLimited(t)
		f.api.refusing(forbidden, "pods")
		f.expose("a", "b")
		f.start(t)
		f.becomes(t, errNothingToList.Error())
	})
	t.Run("one that fails keeps it shut until the deadline", func(t *testing.T) {
		f := newLimited(t)
		f.api.refusing(undecryptable, "pods", "other")
		f.expose("a", "b")
		f.start(t)
		f.becomes(t, "the gate cannot list pods: see its log")
		assert.NotContains(t, f.Check(t.Context()).Error(), "other")
		f.clock.Step(2 * f.deadline)
		f.becomes(t, "")
	})
}

func TestResourcesThatTheAPIServerDoesNotHaveDoNotCount(t *testing.T) {
	f := newFixture(t, "a")
	f.api.refusing(notFound, "nodes")
	f.expose("a")
	f.start(t)
	f.becomes(t, "")
	assert.Zero(t, testutil.ToFloat64(f.metrics.openedByDeadline))
}

func TestDeniedNamespacesAreNotWaitedFor(t *testing.T) {
	f := newFixture(t, "a")
	f.cluster.NamespacesDenylist = []string{"denied"}
	f.api.create("pods", "denied", "b")
	f.expose("a")
	f.start(t)
	f.becomes(t, "")
	assert.Zero(t, testutil.ToFloat64(f.metrics.openedByDeadline))
}

// Leases have no family with their creation time.
func TestLeasesAreIdentifiedByTheirOwners(t *testing.T) {
	f := newFixture(t)
	f.exported = exporting(t, "leases")
	f.api.create("leases", "default", "a")
	f.exposeText("# TYPE kube_lease_owner gauge\nkube_lease_owner{lease=\"a\",namespace=\"default\",owner_kind=\"\"} 1\n")
	unidentified, err := f.Gate.monitor.Objects(t.Context(), []exposition.Resource{exposition.Resources["leases"]}, nil, func(exposition.Resource, exposition.Object) {})
	require.NoError(t, err)
	assert.Empty(t, unidentified)
	f.start(t)
	f.becomes(t, "")
}

func TestOtherShardsObjectsKeepTheGateShut(t *testing.T) {
	newSharded := func(t *testing.T) (f *fixture, own, others []string) {
		f = newFixture(t, "a", "b", "c", "d", "e", "f")
		f.cluster.Shard = sharding.Shard{ID: 1, Total: 2}
		for _, pod := range []string{"a", "b", "c", "d", "e", "f"} {
			if f.cluster.Shard.Has(types.UID(pod)) {
				own = append(own, pod)
			} else {
				others = append(others, pod)
			}
		}
		require.NotEmpty(t, own)
		require.NotEmpty(t, others)
		return f, own, others
	}
	t.Run("deadline or not", func(t *testing.T) {
		f, own, others := newSharded(t)
		f.expose(append(own, others...)...)
		f.start(t)
		f.becomes(t, "of other shards")
		f.clock.Step(2 * f.deadline)
		f.becomes(t, "of other shards")
		assert.Zero(t, testutil.ToFloat64(f.metrics.openedByDeadline))
		assert.InDelta(t, len(others), testutil.ToFloat64(f.metrics.foreign.WithLabelValues("pods")), 0)
		f.expose(own...)
		f.becomes(t, "")
		assert.Zero(t, testutil.ToFloat64(f.metrics.foreign.WithLabelValues("pods")))
	})
	t.Run("unless they have been created again with UIDs of this one", func(t *testing.T) {
		f, own, others := newSharded(t)
		f.expose(own[1:]...)
		f.start(t)
		f.becomes(t, "pods: 1")
		f.api.recreate("pods", "default", others[0], types.UID(own[0]))
		f.expose(append(own, others[0])...)
		f.becomes(t, "")
		assert.Zero(t, testutil.ToFloat64(f.metrics.openedByDeadline))
	})
	t.Run("and those created after the list do not count", func(t *testing.T) {
		f, own, _ := newSharded(t)
		f.expose(own[1:]...)
		f.start(t)
		f.becomes(t, "pods: 1")
		f.expose(append(own, "created-later")...)
		f.becomes(t, "")
	})
}

func TestAGateThatRestartsKnowsWhichProcessWasComplete(t *testing.T) {
	file := t.TempDir() + "/gate.json"
	f := newFixture(t, "a")
	f.memory = memory{file}
	f.expose("a")
	f.start(t)
	f.becomes(t, "")

	another := newFixture(t, "a")
	another.Gate.monitor, another.memory = f.fakeMonitor.monitor(), memory{file}
	another.open(t.Context())
	another.reports(t, "")
	another.start(t)
	another.becomes(t, "")
	assert.Zero(t, another.api.listsOf("pods"))

	f.restart()
	f.expose()
	another.reports(t, errNotLookedYet.Error())

	t.Run("unless the file is no such file", func(t *testing.T) {
		_, err := memory{t.TempDir()}.load()
		require.Error(t, err)
		unknown, err := memory{t.TempDir() + "/none"}.load()
		require.NoError(t, err)
		assert.Equal(t, remembered{}, unknown)
	})
}

func TestAProbeThatWaitsLearnsAtOnceThatTheGateOpens(t *testing.T) {
	f := newFixture(t, "a")
	f.expose()
	f.start(t)
	f.becomes(t, "pods: 1")
	answer := make(chan error)
	go func() { answer <- f.Await(t.Context()) }()
	f.expose("a")
	f.stepWhileItSleeps(t)
	require.NoError(t, <-answer)

	t.Run("or why not, at the end of its time", func(t *testing.T) {
		f := newFixture(t, "a")
		expired, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		assert.ErrorIs(t, f.Await(expired), errNotLookedYet)
	})
}

// A load balancer that has lost the API server answers too.
func TestOnlyAnAnswerOfTheAPIServerItselfIsContact(t *testing.T) {
	f := newFixture(t, "a")
	require.NoError(t, f.contact.Ask(t.Context(), contactTimeout))
	f.api.set(func() { f.api.away = true })
	require.ErrorContains(t, f.contact.Ask(t.Context(), contactTimeout), "502 Bad Gateway")
	f.expose("a")
	f.start(t)
	f.becomes(t, "the API server has not answered")
	f.api.set(func() { f.api.away = false })
	f.becomes(t, "")
}

func TestErrorsNameEverything(t *testing.T) {
	err := errors.Join(incompleteError{map[string]int{"pods": 2, "nodes": 1}}, foreignError{map[string]int{"pods": 1}})
	assert.ErrorContains(t, err, "does not expose 3 objects (nodes: 1, pods: 2) of its shard yet")
	assert.ErrorContains(t, err, "exposes 1 object (pods: 1) of other shards")
}
