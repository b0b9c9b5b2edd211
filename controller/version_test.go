package controller

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
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
	versions := NewVersions(clock)
	asked := make(chan string)
	refuses := errors.New("refused")
	versions.read = func(_ context.Context, pod *corev1.Pod) (string, error) {
		image := pod.Status.ContainerStatuses[1].ImageID
		asked <- image
		if image == "silent" {
			return "", refuses
		}
		return "v" + image, nil
	}
	pods := []corev1.Pod{
		pod(0, "a", running("1")), pod(0, "b", running("1")), pod(1, "a", running("1"), notReady),
		pod(2, "a", running("2"), notReady), pod(2, "b"),
	}

	is, all := versions.of(t.Context(), pods)
	assert.Empty(t, is)
	assert.False(t, all)
	assert.Equal(t, "1", <-asked)
	<-versions.changes
	is, all = versions.of(t.Context(), pods)
	assert.Equal(t, []string{"v1"}, is)
	assert.True(t, all, "a pod that is not ready counts for nothing")

	notReady := &pods[3].Status.Conditions[1]
	notReady.Status = corev1.ConditionTrue
	_, all = versions.of(t.Context(), pods)
	assert.False(t, all)
	assert.Equal(t, "2", <-asked)
	<-versions.changes
	is, all = versions.of(t.Context(), pods)
	assert.Equal(t, []string{"v1", "v2"}, is)
	assert.True(t, all)

	pods = append(pods, pod(0, "c", running("silent")))
	_, all = versions.of(t.Context(), pods)
	assert.False(t, all)
	assert.Equal(t, "silent", <-asked)
	clock.SetTime(testTime.Add(versionInterval - time.Second))
	_, all = versions.of(t.Context(), pods)
	assert.False(t, all, "it is left alone for a while")
	clock.SetTime(testTime.Add(versionInterval))
	_, _ = versions.of(t.Context(), pods)
	assert.Equal(t, "silent", <-asked)
	assert.Empty(t, versions.changes, "nothing was learned")
}

func TestNoVersions(t *testing.T) {
	is, all := (*Versions)(nil).of(t.Context(), []corev1.Pod{pod(0, "a", running("1"))})
	assert.Empty(t, is)
	assert.True(t, all)
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

func TestSoundVersion(t *testing.T) {
	run := func(all bool, versions ...string) func(*world) {
		return func(w *world) { w.observed.versions, w.observed.allVersions = versions, all }
	}
	unsharded := func(w *world) { w.ksmScale.Spec.Sharding = nil }
	for _, test := range []struct {
		name            string
		overrides       []func(*world)
		status          metav1.ConditionStatus
		reason, message string
	}{
		{"of all", []func(*world){run(true, "v2.20.0")}, metav1.ConditionTrue, v1alpha1.ReasonNoKnownBugs, "v2.20.0 runs"},
		{"with bugs", []func(*world){run(true, "v2.10.1", "v2.20.0")}, metav1.ConditionFalse, v1alpha1.ReasonShardingBugs, "kube-state-metrics v2.10.1 runs, in which a shard that lists again"},
		{"with bugs, and the remedy", []func(*world){run(false, "v2.10.1")}, metav1.ConditionFalse, v1alpha1.ReasonShardingBugs, "set spec.monitorImage to v2.20.0 or newer"},
		{"not of all", []func(*world){run(false, "v2.20.0")}, metav1.ConditionUnknown, v1alpha1.ReasonVersionUnknown, "port 8081"},
		{"of none", []func(*world){run(true)}, metav1.ConditionUnknown, v1alpha1.ReasonVersionUnknown, "port 8081"},
		{"no version", []func(*world){run(true, "main", "v2.20.0")}, metav1.ConditionUnknown, v1alpha1.ReasonVersionUnknown, `"main"`},
		{"no version, and bugs", []func(*world){run(true, "main", "v2.10.1")}, metav1.ConditionFalse, v1alpha1.ReasonShardingBugs, "v2.10.1"},
		{"behind a filter", []func(*world){run(true), func(w *world) { w.ksmScale.Spec.Metrics.AuthFilter = true }}, metav1.ConditionUnknown, v1alpha1.ReasonVersionUnknown, "spec.metrics.authFilter is true"},
		{"with TLS", []func(*world){run(true), func(w *world) { w.ksmScale.Spec.Metrics.TLS = &v1alpha1.TLSConfig{SecretName: "a"} }}, metav1.ConditionUnknown, v1alpha1.ReasonVersionUnknown, "spec.metrics.tls is set"},
		{"without sharding", []func(*world){run(true, "v2.10.1"), unsharded}, metav1.ConditionTrue, v1alpha1.ReasonNoKnownBugs, "one shard"},
	} {
		t.Run(test.name, func(t *testing.T) {
			status := newWorld(test.overrides...).status()
			is := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionSoundVersion)
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
