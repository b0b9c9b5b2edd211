package gate

import (
	"context"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/example/ksmscale/gate/apiserver"
	"github.com/example/ksmscale/gate/exposition"
	"github.com/example/ksmscale/gate/sharding"
)

// fixture is a gate between an API server and a kube-state-metrics that exports pods and nodes.
type fixture struct {
	*Gate
	*fakeMonitor
	api   *fakeAPIServer
	clock *clocktesting.FakeClock
}

func newFixture(t *testing.T, pods ...string) *fixture {
	t.Helper()
	f := &fixture{
		fakeMonitor: newFakeMonitor(t), api: newFakeAPIServer(t),
		clock: clocktesting.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)),
	}
	f.api.create("pods", "default", pods...)
	apiContact, err := apiserver.NewContact(f.api.config())
	require.NoError(t, err)
	f.Gate = (&Gate{
		cluster:  &apiserver.Objects{Metadata: f.api.metadata(t), Shard: sharding.Shard{Total: 1}},
		contact:  apiContact,
		monitor:  f.fakeMonitor.monitor(),
		exported: exporting(t, "pods", "nodes"),
		deadline: 10 * time.Minute,
		clock:    f.clock,
		metrics:  newMetrics(prometheus.NewRegistry()),
	}).open(t.Context())
	return f
}

func exporting(t *testing.T, resources ...string) func(string) []exposition.Resource {
	t.Helper()
	exported, err := (&Options{Resources: resources}).exported()
	require.NoError(t, err)
	return exported
}

// start runs the gate until the end of the test.
func (f *fixture) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

// becomes steps the gate's clock until the gate reports what is expected; empty for an open gate.
func (f *fixture) becomes(t *testing.T, expected string) {
	t.Helper()
	require.EventuallyWithT(t, func(t *assert.CollectT) {
		f.clock.Step(minPause)
		f.reports(t, expected)
	}, time.Minute, time.Millisecond)
}

func (f *fixture) reports(t assert.TestingT, expected string) {
	err := f.Check(context.Background())
	if expected == "" {
		assert.NoError(t, err)
	} else {
		assert.ErrorContains(t, err, expected)
	}
}

func TestOpensWhenAllObjectsAreExposed(t *testing.T) {
	f := newFixture(t, "a", "b", "c")
	f.expose()
	f.reports(t, errNotLookedYet.Error())
	f.start(t)
	f.becomes(t, "3 objects (pods: 3) of its shard yet")
	f.expose("a", "c")
	f.becomes(t, "1 object (pods: 1) of its shard yet")
	assert.InDelta(t, 0, testutil.ToFloat64(f.metrics.open), 0)
	f.expose("a", "b", "c")
	f.becomes(t, "")
	assert.InDelta(t, 1, testutil.ToFloat64(f.metrics.open), 0)
	assert.Zero(t, testutil.ToFloat64(f.metrics.openedByDeadline))
}

func TestShutsForANewProcess(t *testing.T) {
	f := newFixture(t, "a")
	f.expose("a")
	f.start(t)
	f.becomes(t, "")
	f.expose()
	f.reports(t, "") // The gate looks for objects only at the start.
	f.restart()
	require.Error(t, f.Check(t.Context()), "before the gate has looked at the new process")
	f.becomes(t, "pods: 1")
	f.expose("a")
	f.becomes(t, "")
}

func TestWhatCountsDependsOnTheVersion(t *testing.T) {
	f := newFixture(t, "a")
	options := &Options{Resources: []string{"pods", "nodes"}}
	for _, known := range exposition.Resources["pods"].Families() {
		options.MetricDenylist = append(options.MetricDenylist, "^"+known.Name+"$")
	}
	var err error
	f.exported, err = options.exported()
	require.NoError(t, err)
	f.start(t)
	f.becomes(t, "")
	f.upgrade("v2.21.0")
	f.becomes(t, "pods: 1")
	f.exposeText("kube_pod_of_tomorrow{namespace=\"default\",pod=\"a\"} 1\n")
	f.becomes(t, "")
}

// With custom resources, kube-state-metrics reloads soon after its start.
func TestOpensOnceDefinitionsHaveBeenFound(t *testing.T) {
	f := newFixture(t, "a")
	f.discovers = true
	f.expose("a")
	f.start(t)
	f.becomes(t, errDiscovering.Error())
	f.becomes(t, "")
	assert.GreaterOrEqual(t, testutil.ToFloat64(f.metrics.syncDuration), (discoveryPause + customPatience).Seconds())
}

func TestOpensOnceCustomResourcesGrowNoLonger(t *testing.T) {
	f := newFixture(t, "a")
	f.discovers = true
	f.exposeText("kube_customresource_a{} 1\n")
	f.start(t)
	f.becomes(t, "exposes 1 series of custom resources")
	f.reports(t, "pods: 1")
	f.exposeText(strings.Repeat("kube_customresource_a{} 1\n", 2) + "kube_pod_created{namespace=\"default\",pod=\"a\"} 1\n")
	f.becomes(t, "exposes 2 series of custom resources")
	f.becomes(t, "")
	assert.Zero(t, testutil.ToFloat64(f.metrics.openedByDeadline))
}

// Custom resources also count as exposed.
func TestOpensByTheDeadlineIfOnlyCustomResourcesAreExposed(t *testing.T) {
	f := newFixture(t, "a")
	f.discovers = true
	f.exposeText("kube_customresource_a{} 1\n")
	f.start(t)
	f.becomes(t, "pods: 1")
	f.clock.Step(2 * f.deadline)
	f.becomes(t, "")
	assert.InDelta(t, 1, testutil.ToFloat64(f.metrics.openedByDeadline), 0)
}

// A shard may have no objects, so the deadline does not open the gate.
func TestOpensAfterTheDeadlineThoughAnotherDefinitionHasCome(t *testing.T) {
	f := newFixture(t)
	f.discovers = true
	f.api.refusing(undecryptable, "*")
	f.start(t)
	f.becomes(t, "cannot list nodes, pods")
	f.clock.Step(2 * f.deadline)
	f.define(1)
	f.becomes(t, "cannot list nodes, pods")
	f.api.accepting()
	f.becomes(t, "")
}

func TestDefinitionsThatComeOneByOneAreWaitedFor(t *testing.T) {
	f := newFixture(t)
	f.definitions = 16 // One of them was discovered before.
	f.stepWhileItSleeps(t)
	running, err := f.Gate.monitor.Process(t.Context(), processTimeout)
	require.NoError(t, err)
	began := f.clock.Now()
	definitions, same := f.settle(t.Context(), running, began)
	assert.True(t, same)
	assert.InDelta(t, 16, definitions, 0)
	assert.InDelta(t, (15*time.Second + discoveryPause).Seconds(), f.clock.Since(began).Seconds(), 1, "it asks once a second")

	f.restart()
	began = f.clock.Now()
	_, same = f.settle(t.Context(), running, began)
	assert.False(t, same, "of another process")
	assert.InDelta(t, discoverInterval.Seconds(), f.clock.Since(began).Seconds(), minPause.Seconds())

	t.Run("until the deadline", func(t *testing.T) {
		running, err := f.Gate.monitor.Process(t.Context(), processTimeout)
		require.NoError(t, err)
		f.define(1000)
		began := f.clock.Now()
		_, same := f.settle(t.Context(), running, began)
		assert.True(t, same)
		assert.Equal(t, f.deadline, f.clock.Since(began))
	})
}

// Objects from before a reload for another definition may no longer be exposed.
func TestLooksAgainAtEverythingOnceAnotherDefinitionComes(t *testing.T) {
	f := newFixture(t, "a", "b")
	f.discovers = true
	f.expose("a")
	f.start(t)
	f.becomes(t, "pods: 1")
	f.define(1)
	f.expose("b")
	f.becomes(t, errDiscovering.Error())
	f.becomes(t, "pods: 1")
	f.expose("a", "b")
	f.becomes(t, "")
}

// stepWhileItSleeps steps the clock whenever the test's code waits for it.
func (f *fixture) stepWhileItSleeps(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var stepping sync.WaitGroup
	stepping.Go(func() {
		for ctx.Err() == nil {
			if f.clock.HasWaiters() {
				f.clock.Step(minPause)
			}
			goruntime.Gosched()
		}
	})
	t.Cleanup(func() {
		cancel()
		stepping.Wait()
	})
}

func TestShutsWhenNobodyAnswers(t *testing.T) {
	f := newFixture(t, "a")
	f.expose("a")
	f.start(t)
	f.becomes(t, "")
	f.silence()
	f.reports(t, "kube-state-metrics does not answer")
}

func TestShutsWithoutTheAPIServer(t *testing.T) {
	f := newFixture(t, "a")
	f.expose("a")
	f.start(t)
	f.becomes(t, "")
	f.api.set(func() { f.api.silent = true })
	f.becomes(t, "the API server has not answered for 3")
}

func TestDeletedObjectsAreNotWaitedFor(t *testing.T) {
	f := newFixture(t, "a", "deleted")
	f.expose("a")
	f.start(t)
	f.becomes(t, "pods: 1")
	f.api.delete("pods", "default", "deleted")
	f.becomes(t, "")
}

func TestOtherShardsObjectsAreNotWaitedFor(t *testing.T) {
	f := newFixture(t, "a", "b", "c", "d", "e", "f")
	f.cluster.Shard = sharding.Shard{ID: 1, Total: 2}
	var own []string
	for _, pod := range []string{"a", "b", "c", "d", "e", "f"} {
		if f.cluster.Shard.Has(types.UID(pod)) {
			own = append(own, pod)
		}
	}
	require.NotEmpty(t, own)
	require.Less(t, len(own), 6)
	f.expose(own[1:]...)
	f.start(t)
	f.becomes(t, "pods: 1")
	f.expose(own...)
	f.becomes(t, "")
}

// kube-state-metrics takes the first objects of a list up to the limit, and exposes those of its shard.
func TestObjectsBeyondTheLimitAreNotWaitedFor(t *testing.T) {
	f := newFixture(t, "a", "b", "c", "d")
	f.cluster.Limit = 2
	f.expose("a", "d")
	f.start(t)
	f.becomes(t, "pods: 1")
	f.expose("a", "b")
	f.becomes(t, "")
}

// The first objects of a list change if one is deleted, or created before them, while kube-state-metrics starts.
func TestTheLimitIsThatOfTheObjectsThereAre(t *testing.T) {
	f := newFixture(t, "b", "c")
	f.cluster.Limit = 2
	f.expose("b")
	f.start(t)
	f.becomes(t, "pods: 1")
	f.api.create("pods", "default", "a")
	f.becomes(t, "")
}

func TestNamespacesMayBeLeftOutOfThoseNamed(t *testing.T) {
	f := newFixture(t, "a")
	f.cluster.Namespaces, f.cluster.NamespacesDenylist = []string{"default", "other"}, []string{"default"}
	f.start(t)
	f.becomes(t, "")
}

func TestFamiliesThatIdentifyObjectsMayBeLeftOut(t *testing.T) {
	f := newFixture(t, "a")
	f.exposeText("# HELP kube_pod_status_phase Phase\n# TYPE kube_pod_status_phase gauge\n" +
		"kube_pod_status_phase{namespace=\"default\",pod=\"a\",uid=\"\",phase=\"Running\"} 1\n")
	f.start(t)
	f.becomes(t, "")
}

func TestEndpointSlicesMayComeWithoutTheirNamespaces(t *testing.T) {
	f := newFixture(t)
	f.exported = exporting(t, "endpointslices")
	f.api.create("endpointslices", "default", "a")
	const familyText = "# HELP kube_endpointslice_info Information\n# TYPE kube_endpointslice_info gauge\n"
	f.exposeText(familyText)
	f.start(t)
	f.becomes(t, "endpointslices: 1")
	f.exposeText(familyText + "kube_endpointslice_info{endpointslice=\"a\",addresstype=\"IPv4\"} 1\n")
	f.becomes(t, "")
}

func TestKindsThatMayNotBeListedDoNotCount(t *testing.T) {
	f := newFixture(t, "a")
	f.api.refusing(forbidden, "nodes")
	f.expose("a")
	f.start(t)
	f.becomes(t, "")

	t.Run("unless none may be listed", func(t *testing.T) {
		f := newFixture(t)
		f.api.refusing(forbidden, "*")
		f.expose()
		f.start(t)
		f.becomes(t, errNothingToList.Error())
		f.clock.Step(f.deadline)
		f.becomes(t, errNothingToList.Error())
		assert.Zero(t, testutil.ToFloat64(f.metrics.openedByDeadline))
	})
}

func TestOpensByTheDeadlineUnlessNothingIsExposed(t *testing.T) {
	f := newFixture(t, "a", "b")
	f.expose()
	f.start(t)
	f.becomes(t, "pods: 2")
	f.clock.Step(2 * f.deadline)
	f.becomes(t, "pods: 2")
	assert.Zero(t, testutil.ToFloat64(f.metrics.openedByDeadline))
	f.expose("a")
	f.becomes(t, "")
	assert.InDelta(t, 1, testutil.ToFloat64(f.metrics.openedByDeadline), 0)
	assert.InDelta(t, 1, testutil.ToFloat64(f.metrics.missing.WithLabelValues("pods")), 0)
}
