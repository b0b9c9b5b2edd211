package gate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	goruntime "runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	metadatafake "k8s.io/client-go/metadata/fake"
	clienttesting "k8s.io/client-go/testing"
	clocktesting "k8s.io/utils/clock/testing"
)

// fixture is a gate beside a kube-state-metrics of which the test says what it exposes.
type fixture struct {
	*Gate
	objects *metadatafake.FakeMetadataClient
	clock   *clocktesting.FakeClock

	mu      sync.Mutex
	silent  bool // neither kube-state-metrics nor the API server answers
	started int
	version string
	// definitions is how many more times that kube-state-metrics is asked it has seen another definition of custom resources.
	definitions, discovered int
	exposed                 string
}

func newFixture(t *testing.T, pods ...string) *fixture {
	t.Helper()
	scheme := metadatafake.NewTestScheme()
	require.NoError(t, metav1.AddMetaToScheme(scheme))
	f := &fixture{
		objects: metadatafake.NewSimpleMetadataClient(scheme),
		clock:   clocktesting.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)),
		started: 1, version: "v2.20.0",
	}
	f.create(t, pods...)
	exported, err := (&Options{Resources: []string{"pods", "nodes"}}).exported()
	require.NoError(t, err)
	server := httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(server.Close)
	f.Gate = &Gate{
		cluster: &cluster{
			metadata: f.objects, share: Share{TotalShards: 1}, client: server.Client(), host: server.URL,
		},
		monitor:  &monitor{client: server.Client(), metrics: server.URL + "/metrics", telemetry: server.URL + "/telemetry"},
		exported: exported,
		deadline: 10 * time.Minute,
		clock:    f.clock,
		metrics:  newMetrics(prometheus.NewRegistry()),
	}
	return f
}

func (f *fixture) serve(w http.ResponseWriter, request *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.silent:
		panic(http.ErrAbortHandler)
	case request.URL.Path == "/telemetry":
		_, _ = fmt.Fprintf(w, "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds %d.5\n", f.started)
		_, _ = fmt.Fprintf(w, "kube_state_metrics_build_info{version=%q} 1\n", f.version)
		if f.discovered < f.definitions {
			f.discovered++
		}
		_, _ = fmt.Fprintf(w, "# TYPE kube_state_metrics_custom_resource_state_add_events_total counter\nkube_state_metrics_custom_resource_state_add_events_total %d\n", f.discovered)
	case request.URL.Path == "/metrics":
		_, _ = fmt.Fprint(w, f.exposed)
	}
}

// define has kube-state-metrics see so many more definitions of custom resources, one each time that it is asked.
func (f *fixture) define(definitions int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.definitions += definitions
}

func (f *fixture) create(t *testing.T, pods ...string) {
	t.Helper()
	for _, name := range pods {
		require.NoError(t, f.objects.Tracker().Create(resources["pods"].groupVersionResource, &metav1.PartialObjectMetadata{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)},
		}, "default"))
	}
}

// expose has kube-state-metrics expose these pods, and no nodes.
func (f *fixture) expose(pods ...string) {
	var text strings.Builder
	text.WriteString("# HELP kube_node_created Unix creation timestamp\n# TYPE kube_node_created gauge\n")
	text.WriteString("# HELP kube_pod_status_phase Phase\n# TYPE kube_pod_status_phase gauge\n")
	for _, pod := range pods {
		fmt.Fprintf(&text, "kube_pod_status_phase{namespace=\"default\",pod=%q,uid=\"\",phase=\"Running\"} 1\n", pod)
	}
	text.WriteString("# HELP kube_pod_created Unix creation timestamp\n# TYPE kube_pod_created gauge\n")
	for _, pod := range pods {
		fmt.Fprintf(&text, "kube_pod_created{namespace=\"default\",pod=%q,uid=\"\"} 1.7e+09\n", pod)
	}
	f.set(text.String())
}

func (f *fixture) set(exposed string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.exposed = exposed
}

func (f *fixture) restart() { f.upgrade(f.version) }

func (f *fixture) upgrade(version string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.started++
	f.version = version
}

func (f *fixture) silence() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.silent = true
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

// becomes waits, and lets the gate's time go by, until it says what is expected; empty is open.
func (f *fixture) becomes(t *testing.T, expected string) {
	t.Helper()
	require.EventuallyWithT(t, func(t *assert.CollectT) {
		f.clock.Step(pause)
		f.says(t, expected)
	}, 10*time.Second, time.Millisecond)
}

func (f *fixture) says(t assert.TestingT, expected string) {
	err := f.Check(context.Background())
	if expected == "" {
		assert.NoError(t, err)
	} else {
		assert.ErrorContains(t, err, expected)
	}
}

func TestOpensWhenTheWholeShareIsExposed(t *testing.T) {
	f := newFixture(t, "a", "b", "c")
	f.expose()
	f.says(t, errNotLookedYet.Error())
	f.start(t)
	f.becomes(t, "3 objects of its share yet: 3 pods")
	f.expose("a", "c")
	f.becomes(t, "1 objects of its share yet: 1 pods")
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
	f.says(t, "") // Objects are looked for at the start only.
	f.restart()
	require.Error(t, f.Check(t.Context()), "before the gate has looked at the new process")
	f.becomes(t, "1 pods")
	f.expose("a")
	f.becomes(t, "")
}

func TestWhatCountsDependsOnTheVersion(t *testing.T) {
	f := newFixture(t, "a")
	options := &Options{Resources: []string{"pods", "nodes"}}
	for _, family := range knownFamilies {
		if pods := resources["pods"]; pods.owns(family.name) {
			options.MetricDenylist = append(options.MetricDenylist, "^"+family.name+"$")
		}
	}
	var err error
	f.exported, err = options.exported()
	require.NoError(t, err)
	f.start(t)
	f.becomes(t, "")
	f.upgrade("v2.21.0")
	f.becomes(t, "1 pods")
	f.set("kube_pod_of_tomorrow{namespace=\"default\",pod=\"a\"} 1\n")
	f.becomes(t, "")
}

// With custom resources, kube-state-metrics begins anew soon after it has started.
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
	f.set("kube_customresource_a{} 1\n")
	f.start(t)
	f.becomes(t, "exposes 1 series of custom resources")
	f.says(t, "1 pods")
	f.set(strings.Repeat("kube_customresource_a{} 1\n", 2) + "kube_pod_created{namespace=\"default\",pod=\"a\"} 1\n")
	f.becomes(t, "exposes 2 series of custom resources")
	f.becomes(t, "")
	assert.Zero(t, testutil.ToFloat64(f.metrics.openedByDeadline))
}

// Custom resources are something too.
func TestOpensByTheDeadlineIfOnlyCustomResourcesAreExposed(t *testing.T) {
	f := newFixture(t, "a")
	f.discovers = true
	f.set("kube_customresource_a{} 1\n")
	f.start(t)
	f.becomes(t, "1 pods")
	f.clock.Step(2 * f.deadline)
	f.becomes(t, "")
	assert.InDelta(t, 1, testutil.ToFloat64(f.metrics.openedByDeadline), 0)
}

// A share may be empty, so that the deadline does not open the gate.
func TestOpensAfterTheDeadlineThoughAnotherDefinitionHasCome(t *testing.T) {
	f := newFixture(t)
	f.discovers = true
	var recovered atomic.Bool
	f.objects.PrependReactor("list", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
		return !recovered.Load(), nil, errors.New("etcd is away")
	})
	f.start(t)
	f.becomes(t, "etcd is away")
	f.clock.Step(2 * f.deadline)
	f.define(1)
	f.becomes(t, "etcd is away")
	recovered.Store(true)
	f.becomes(t, "")
}

func TestDefinitionsThatComeOneByOneAreWaitedFor(t *testing.T) {
	f := newFixture(t)
	f.definitions = 16 // One of them is seen before.
	f.stepWhileItSleeps(t)
	process, err := f.monitor.process(t.Context(), processTimeout)
	require.NoError(t, err)
	began := f.clock.Now()
	definitions, same := f.settle(t.Context(), process, began)
	assert.True(t, same)
	assert.InDelta(t, 16, definitions, 0)
	assert.InDelta(t, (15*time.Second + discoveryPause).Seconds(), f.clock.Since(began).Seconds(), 1, "it asks once a second")

	f.restart()
	began = f.clock.Now()
	_, same = f.settle(t.Context(), process, began)
	assert.False(t, same, "of another process")
	assert.Equal(t, pause, f.clock.Since(began))

	t.Run("until the deadline", func(t *testing.T) {
		process, err := f.monitor.process(t.Context(), processTimeout)
		require.NoError(t, err)
		f.define(1000)
		began := f.clock.Now()
		_, same := f.settle(t.Context(), process, began)
		assert.True(t, same)
		assert.Equal(t, f.deadline, f.clock.Since(began))
	})
}

// What was exposed before kube-state-metrics began anew for another definition may not be any more.
func TestLooksAgainAtEverythingOnceAnotherDefinitionComes(t *testing.T) {
	f := newFixture(t, "a", "b")
	f.discovers = true
	f.expose("a")
	f.start(t)
	f.becomes(t, "1 pods")
	f.define(1)
	f.expose("b")
	f.becomes(t, errDiscovering.Error())
	f.becomes(t, "1 pods")
	f.expose("a", "b")
	f.becomes(t, "")
}

// stepWhileItSleeps lets time go by whenever what runs in the test waits for it.
func (f *fixture) stepWhileItSleeps(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var stepping sync.WaitGroup
	stepping.Go(func() {
		for ctx.Err() == nil {
			if f.clock.HasWaiters() {
				f.clock.Step(pause)
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
	f.says(t, "kube-state-metrics does not answer")
}

func TestShutsWithoutTheAPIServer(t *testing.T) {
	f := newFixture(t, "a")
	f.expose("a")
	f.start(t)
	f.becomes(t, "")
	f.cluster.host = "http://127.0.0.1:1"
	f.becomes(t, "the API server has not answered for 31s")
}

func TestDeletedObjectsAreNotWaitedFor(t *testing.T) {
	f := newFixture(t, "a", "deleted")
	f.expose("a")
	f.start(t)
	f.becomes(t, "1 pods")
	require.NoError(t, f.objects.Tracker().Delete(resources["pods"].groupVersionResource, "default", "deleted"))
	f.becomes(t, "")
}

func TestOtherShardsObjectsAreNotWaitedFor(t *testing.T) {
	f := newFixture(t, "a", "b", "c", "d", "e", "f")
	f.cluster.share = Share{Shard: 1, TotalShards: 2}
	var own []string
	for _, pod := range []string{"a", "b", "c", "d", "e", "f"} {
		if f.cluster.share.Has(types.UID(pod)) {
			own = append(own, pod)
		}
	}
	require.NotEmpty(t, own)
	require.Less(t, len(own), 6)
	f.expose(own[1:]...)
	f.start(t)
	f.becomes(t, "1 pods")
	f.expose(own...)
	f.becomes(t, "")
}

// kube-state-metrics takes as many objects of a list as it may, and of these its share.
func TestObjectsBeyondTheLimitAreNotWaitedFor(t *testing.T) {
	f := newFixture(t, "a", "b", "c", "d")
	f.cluster.limit = 2
	f.expose("a", "d")
	f.start(t)
	f.becomes(t, "1 pods")
	f.expose("a", "b")
	f.becomes(t, "")
}

// The first objects of a list are others when one is deleted, or made before them, while kube-state-metrics starts.
func TestTheLimitIsThatOfTheObjectsThereAre(t *testing.T) {
	f := newFixture(t, "b", "c")
	f.cluster.limit = 2
	f.expose("b")
	f.start(t)
	f.becomes(t, "1 pods")
	f.create(t, "a")
	f.becomes(t, "")
}

func TestNamespacesMayBeLeftOutOfThoseNamed(t *testing.T) {
	f := newFixture(t, "a")
	f.cluster.namespaces, f.cluster.notNamespaces = []string{"default", "other"}, []string{"default"}
	f.start(t)
	f.becomes(t, "")
}

func TestFamiliesThatIdentifyObjectsMayBeLeftOut(t *testing.T) {
	f := newFixture(t, "a")
	f.set("# HELP kube_pod_status_phase Phase\n# TYPE kube_pod_status_phase gauge\n" +
		"kube_pod_status_phase{namespace=\"default\",pod=\"a\",uid=\"\",phase=\"Running\"} 1\n")
	f.start(t)
	f.becomes(t, "")
}

func TestEndpointSlicesMayComeWithoutTheirNamespaces(t *testing.T) {
	f := newFixture(t)
	slices := resources["endpointslices"]
	f.exported = func(string) []resource { return []resource{slices} }
	require.NoError(t, f.objects.Tracker().Create(slices.groupVersionResource, &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: "discovery.k8s.io/v1", Kind: "EndpointSlice"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "a"},
	}, "default"))
	const family = "# HELP kube_endpointslice_info Information\n# TYPE kube_endpointslice_info gauge\n"
	f.set(family)
	f.start(t)
	f.becomes(t, "1 endpointslices")
	f.set(family + "kube_endpointslice_info{endpointslice=\"a\",addresstype=\"IPv4\"} 1\n")
	f.becomes(t, "")
}

func TestKindsThatMayNotBeListedDoNotCount(t *testing.T) {
	forbid := func(resource string) clienttesting.ReactionFunc {
		return func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(resources[resource].groupVersionResource.GroupResource(), "", errors.New("not yours"))
		}
	}
	f := newFixture(t, "a")
	f.objects.PrependReactor("list", "nodes", forbid("nodes"))
	f.expose("a")
	f.start(t)
	f.becomes(t, "")

	t.Run("unless none may be listed", func(t *testing.T) {
		f := newFixture(t)
		f.objects.PrependReactor("list", "nodes", forbid("nodes"))
		f.objects.PrependReactor("list", "pods", forbid("pods"))
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
	f.becomes(t, "2 pods")
	f.clock.Step(2 * f.deadline)
	f.becomes(t, "2 pods")
	assert.Zero(t, testutil.ToFloat64(f.metrics.openedByDeadline))
	f.expose("a")
	f.becomes(t, "")
	assert.InDelta(t, 1, testutil.ToFloat64(f.metrics.openedByDeadline), 0)
	assert.InDelta(t, 1, testutil.ToFloat64(f.metrics.missing.WithLabelValues("pods")), 0)
}
