package observation

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
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/example/ksmscale/controller/fixtures"
	"github.com/example/ksmscale/telemetry"
)

func TestVersionsAreAskedOncePerImage(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(fixtures.Time)
	changed := make(chan struct{}, 1)
	versions := NewVersions(clock, func() { changed <- struct{}{} })
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
		fixtures.Pod(0, "a", fixtures.Running("1")), fixtures.Pod(0, "b", fixtures.Running("1")), fixtures.Pod(1, "a", fixtures.Running("1"), fixtures.NotReady),
		fixtures.Pod(2, "a", fixtures.Running("2"), fixtures.NotReady), fixtures.Pod(2, "b"),
	}

	of := func() RunningVersions { return versions.of(t.Context(), pods) }

	assert.Equal(t, RunningVersions{Known: []string{}, Pending: true, RecheckAfter: firstVersionInterval}, of())
	assert.Equal(t, "1", <-asked)
	<-changed
	assert.Equal(t, RunningVersions{Known: []string{"v1"}}, of(), "a pod that is not ready counts for nothing")

	notReady := &pods[3].Status.Conditions[1]
	notReady.Status = corev1.ConditionTrue
	assert.True(t, of().Pending)
	assert.Equal(t, "2", <-asked)
	<-changed
	assert.Equal(t, RunningVersions{Known: []string{"v1", "v2"}}, of())

	pods = append(pods, fixtures.Pod(0, "c", fixtures.Running("silent")))
	assert.Equal(t, RunningVersions{Known: []string{"v1", "v2"}, Pending: true, RecheckAfter: firstVersionInterval}, of())
	assert.Equal(t, "silent", <-asked)
	<-changed
	assert.Equal(t, RunningVersions{Known: []string{"v1", "v2"}, Silent: true, RecheckAfter: firstVersionInterval}, of())
	answers.Store(true)
	clock.SetTime(fixtures.Time.Add(firstVersionInterval))
	assert.True(t, of().Silent)
	assert.Equal(t, "silent", <-asked)
	<-changed
	assert.Equal(t, RunningVersions{Known: []string{"v1", "v2", "vsilent"}}, of())
}

// One that never answers is asked less and less often, and nothing is told of that.
func TestVersionsAreAskedLessAndLess(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(fixtures.Time)
	changed := make(chan struct{}, 1)
	versions := NewVersions(clock, func() { changed <- struct{}{} })
	asked := make(chan struct{})
	versions.read = func(context.Context, *corev1.Pod) (string, error) {
		asked <- struct{}{}
		return "", errors.New("refused")
	}
	pods := []corev1.Pod{fixtures.Pod(0, "a", fixtures.Running("silent"))}
	var waited []time.Duration
	for range 9 {
		waited = append(waited, versions.of(t.Context(), pods).RecheckAfter)
		<-asked
		if len(waited) == 1 {
			<-changed
		}
		wait := waited[len(waited)-1]
		clock.SetTime(clock.Now().Add(wait - time.Second))
		assert.Equal(t, RunningVersions{Known: []string{}, Silent: true, RecheckAfter: time.Second}, versions.of(t.Context(), pods), "it is left alone for a while")
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
	assert.Zero(t, (*Versions)(nil).of(t.Context(), []corev1.Pod{fixtures.Pod(0, "a", fixtures.Running("1"))}))
}

func TestReadVersion(t *testing.T) {
	var page string
	code := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = fmt.Fprint(w, page)
	}))
	defer server.Close()
	client := telemetry.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
	}, DisableKeepAlives: true}}
	read := func() (string, error) {
		return readVersion(t.Context(), client, new(fixtures.Pod(0, "a", fixtures.Running("1"))))
	}

	page = `# HELP kube_state_metrics_build_info A metric
# TYPE kube_state_metrics_build_info gauge
kube_state_metrics_build_info{branch="",goarch="amd64",goos="linux",goversion="go1.26.8",revision="unknown",tags="unknown",version="v2.10.1"} 1
process_start_time_seconds 1
`
	version, err := read()
	require.NoError(t, err)
	assert.Equal(t, "v2.10.1", version)
	page = "process_start_time_seconds 1\n"
	_, err = read()
	require.ErrorContains(t, err, "no metric kube_state_metrics_build_info")
	page = "<html>"
	_, err = read()
	require.Error(t, err)

	page = `kube_state_metrics_build_info{version="v2.20.0"} 1` + "\n"
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
