package controller

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/telemetry"
)

// running is a pod whose kube-state-metrics has an image.
func running(image string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.PodIP = "10.0.0.1"
		p.Status.ContainerStatuses = []corev1.ContainerStatus{
			{Name: gateContainerName, ImageID: "gate"},
			{Name: containerName, ImageID: image},
		}
	}
}

func TestVersionsAreAskedOncePerImage(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(testTime)
	changed := newChanges()
	versions := NewVersions(clock, changed.notify)
	asked := make(chan string)
	refuses := errors.New("refused")
	var answers atomic.Bool
	versions.read = func(_ context.Context, pod *corev1.Pod) (string, error) {
		image := pod.Status.ContainerStatuses[1].ImageID
		asked <- image
		if image == "silent" && !answers.Load() {
			return "", refuses
		}
		return "v" + image, nil
	}
	pods := []corev1.Pod{
		pod(0, "a", running("1")), pod(0, "b", running("1")), pod(1, "a", running("1"), notReady),
		pod(2, "a", running("2"), notReady), pod(2, "b"),
	}

	of := func() said { return versions.of(t.Context(), pods) }

	assert.Equal(t, said{versions: []string{}, asking: true, again: firstVersionInterval}, of())
	assert.Equal(t, "1", <-asked)
	<-changed
	assert.Equal(t, said{versions: []string{"v1"}}, of(), "a pod that is not ready counts for nothing")

	notReady := &pods[3].Status.Conditions[1]
	notReady.Status = corev1.ConditionTrue
	assert.True(t, of().asking)
	assert.Equal(t, "2", <-asked)
	<-changed
	assert.Equal(t, said{versions: []string{"v1", "v2"}}, of())

	pods = append(pods, pod(0, "c", running("silent")))
	assert.Equal(t, said{versions: []string{"v1", "v2"}, asking: true, again: firstVersionInterval}, of())
	assert.Equal(t, "silent", <-asked)
	<-changed
	assert.Equal(t, said{versions: []string{"v1", "v2"}, silent: true, again: firstVersionInterval}, of())
	answers.Store(true)
	clock.SetTime(testTime.Add(firstVersionInterval))
	assert.True(t, of().silent)
	assert.Equal(t, "silent", <-asked)
	<-changed
	assert.Equal(t, said{versions: []string{"v1", "v2", "vsilent"}}, of())
}

// One that never answers is asked less and less often, and nothing is told of that.
func TestVersionsAreAskedLessAndLess(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(testTime)
	changed := newChanges()
	versions := NewVersions(clock, changed.notify)
	asked := make(chan struct{})
	versions.read = func(context.Context, *corev1.Pod) (string, error) {
		asked <- struct{}{}
		return "", errors.New("refused")
	}
	pods := []corev1.Pod{pod(0, "a", running("silent"))}
	var waited []time.Duration
	for range 9 {
		waited = append(waited, versions.of(t.Context(), pods).again)
		<-asked
		if len(waited) == 1 {
			<-changed
		}
		wait := waited[len(waited)-1]
		clock.SetTime(clock.Now().Add(wait - time.Second))
		assert.Equal(t, said{versions: []string{}, silent: true, again: time.Second}, versions.of(t.Context(), pods), "it is left alone for a while")
		clock.SetTime(clock.Now().Add(time.Second))
	}
	assert.Equal(t, []time.Duration{10, 20, 40, 80, 160, 320, 600, 600, 600}, inSeconds(waited))
	assert.Empty(t, changed)
}

func inSeconds(durations []time.Duration) []time.Duration {
	seconds := make([]time.Duration, len(durations))
	for i, duration := range durations {
		seconds[i] = duration / time.Second
	}
	return seconds
}

func TestNoVersions(t *testing.T) {
	assert.Zero(t, (*Versions)(nil).of(t.Context(), []corev1.Pod{pod(0, "a", running("1"))}))
}

func TestReadVersion(t *testing.T) {
	var said string
	code := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = fmt.Fprint(w, said)
	}))
	defer server.Close()
	client := telemetry.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
	}, DisableKeepAlives: true}}
	read := func() (string, error) { return readVersion(t.Context(), client, new(pod(0, "a", running("1")))) }

	said = `# HELP kube_state_metrics_build_info A metric
# TYPE kube_state_metrics_build_info gauge
kube_state_metrics_build_info{branch="",goarch="amd64",goos="linux",goversion="go1.26.8",revision="unknown",tags="unknown",version="v2.10.1"} 1
process_start_time_seconds 1
`
	version, err := read()
	require.NoError(t, err)
	assert.Equal(t, "v2.10.1", version)
	said = "process_start_time_seconds 1\n"
	_, err = read()
	require.ErrorContains(t, err, "no metric kube_state_metrics_build_info")
	said = "<html>"
	_, err = read()
	require.Error(t, err)

	said = `kube_state_metrics_build_info{version="v2.20.0"} 1` + "\n"
	version, err = read()
	require.NoError(t, err)
	assert.Equal(t, "v2.20.0", version)
	code = http.StatusForbidden
	_, err = read()
	require.ErrorContains(t, err, "403")
	server.Close()
	_, err = read()
	require.Error(t, err)
}

func TestBugsOf(t *testing.T) {
	for said, wanted := range map[string][]string{
		"v1.9.8": {"#3065", "#3003"}, "v2.10.1": {"#3065", "#3003"}, "2.18.0": {"#3065", "#3003"},
		"v2.19.0": {"#3065", "#3003", "#2973"}, "v2.19.1": {"#3065", "#3003"},
		"v2.20.0": nil, "v2.20.0-rc.0": nil, "v2.20.0+fips": nil, "v2.21.3": nil, "v3.0.0": nil,
	} {
		bugs, err := bugsOf(said)
		require.NoError(t, err, said)
		require.Len(t, bugs, len(wanted), said)
		for i, bug := range bugs {
			assert.Contains(t, bug, wanted[i], said)
		}
	}
	for _, said := range []string{"", "unknown", "main-3f2a"} {
		_, err := bugsOf(said)
		assert.Error(t, err, said)
	}
}

func TestVersionSupported(t *testing.T) {
	run := func(all bool, versions ...string) func(*world) {
		return func(w *world) { w.observed.said = said{versions: versions, silent: !all} }
	}
	unsharded := func(w *world) { w.ksmScale.Spec.Sharding = nil }
	for _, test := range []struct {
		name            string
		overrides       []func(*world)
		status          metav1.ConditionStatus
		reason, message string
	}{
		{"of all", []func(*world){run(true, "v2.20.0")}, metav1.ConditionTrue, v1alpha1.ReasonNoKnownBugs, "v2.20.0 runs"},
		{"with bugs", []func(*world){run(true, "v2.10.1", "v2.20.0")}, metav1.ConditionFalse, v1alpha1.ReasonKnownBugs, "kube-state-metrics v2.10.1 runs, in which a shard that lists again"},
		{"with bugs, and the remedy", []func(*world){run(false, "v2.10.1")}, metav1.ConditionFalse, v1alpha1.ReasonKnownBugs, "set spec.monitorImage to v2.20.0 or newer"},
		{"not of all", []func(*world){run(false, "v2.20.0")}, metav1.ConditionUnknown, v1alpha1.ReasonVersionUnknown, "port 8081"},
		{"of none", []func(*world){run(true)}, metav1.ConditionUnknown, v1alpha1.ReasonVersionUnknown, "port 8081"},
		{"no version", []func(*world){run(true, "main", "v2.20.0")}, metav1.ConditionUnknown, v1alpha1.ReasonVersionUnknown, `"main"`},
		{"no version, and bugs", []func(*world){run(true, "main", "v2.10.1")}, metav1.ConditionFalse, v1alpha1.ReasonKnownBugs, "v2.10.1"},
		{"behind a filter", []func(*world){run(true), func(w *world) { w.ksmScale.Spec.Metrics.AuthFilter = true }}, metav1.ConditionUnknown, v1alpha1.ReasonVersionUnknown, "spec.metrics.authFilter is true"},
		{"with TLS", []func(*world){run(true), func(w *world) { w.ksmScale.Spec.Metrics.TLS = &v1alpha1.TLSConfig{SecretName: "a"} }}, metav1.ConditionUnknown, v1alpha1.ReasonVersionUnknown, "spec.metrics.tls is set"},
		{"without sharding", []func(*world){run(true, "v2.10.1"), unsharded}, metav1.ConditionTrue, v1alpha1.ReasonNoKnownBugs, "one shard"},
	} {
		t.Run(test.name, func(t *testing.T) {
			status := newWorld(test.overrides...).status()
			is := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionVersionSupported)
			require.NotNil(t, is)
			assert.Equal(t, test.status, is.Status)
			assert.Equal(t, test.reason, is.Reason)
			assert.Contains(t, is.Message, test.message)
			if len(test.overrides) == 1 {
				assert.True(t, meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionReady), "it is a warning")
			}
		})
	}
}

// While it is asked for the first time, as by a controller that has become the leader, what was said before stays.
func TestVersionSupportedStaysUntilAskedAnew(t *testing.T) {
	before := metav1.Condition{
		Type: v1alpha1.ConditionVersionSupported, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonKnownBugs, Message: "v2.10.1",
		ObservedGeneration: 2, LastTransitionTime: metav1.NewTime(testTime.Add(-time.Hour)),
	}
	asking := said{asking: true}
	for _, test := range []struct {
		name       string
		said       said
		generation int64
		none       bool
		stays      bool
	}{
		{"asked for the first time", asking, 2, false, true},
		{"a rollout has a second image", said{versions: []string{"v2.20.0"}, asking: true}, 2, false, true},
		{"of another spec", asking, 3, false, false},
		{"nothing was said", asking, 2, true, false},
		{"does not answer", said{silent: true}, 2, false, false},
		{"one does not answer", said{asking: true, silent: true}, 2, false, false},
		{"has answered", said{versions: []string{"v2.20.0"}}, 2, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(func(w *world) { w.observed.said, w.ksmScale.Generation = test.said, test.generation })
			if !test.none {
				w.ksmScale.Status.Conditions = []metav1.Condition{before}
			}
			is := *meta.FindStatusCondition(w.status().Conditions, v1alpha1.ConditionVersionSupported)
			if test.stays {
				assert.Equal(t, before, is)
			} else {
				assert.NotEqual(t, before.Status, is.Status)
			}
		})
	}
}
