package gate

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/example/ksmscale/gate/ksm"
)

// newCustom follows the series of a handler, with a fake clock.
func newCustom(t *testing.T, answer http.HandlerFunc) (*custom, *clocktesting.FakeClock) {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	now := clocktesting.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	return &custom{monitor: &ksm.Client{HTTP: server.Client(), Metrics: server.URL}, clock: now}, now
}

func TestCustomResourcesAreExposedWhenTheyGrowNoLonger(t *testing.T) {
	series, code := 0, http.StatusOK
	c, now := newCustom(t, func(w http.ResponseWriter, request *http.Request) {
		assert.Contains(t, strings.Split(request.URL.Query().Get("exclude_resources"), ","), "pods")
		w.WriteHeader(code)
		_, _ = fmt.Fprint(w, strings.Repeat("kube_customresource_a{} 1\n", series))
	})
	for _, step := range []struct {
		name   string
		after  time.Duration
		series int
		wait   string // the expected reason to wait; empty for none
	}{
		{"one look tells nothing", 0, 100, "exposes 100 series"},
		{"nor do two at once", time.Second, 100, "exposes 100 series"},
		{"some come", customInterval - time.Second, 1000, "exposes 1000 series"},
		{"which is not looked at again soon", customInterval - time.Second, 2000, "exposes 1000 series"},
		{"more come", time.Second, 2000, "exposes 2000 series"},
		{"and more", customInterval, 2101, "exposes 2101 series"},
		{"hardly any more", customInterval, 2200, ""},
		{"which stays for as long", time.Second, 3000, ""},
		{"but no longer", customInterval, 3000, "exposes 3000 series"},
		{"less, as when it begins anew", customInterval, 2000, "exposes 2000 series"},
		{"hardly less", customInterval, 1950, ""},
		{"none", customInterval, 0, "exposes 0 series"},
		{"none for long", customPatience - time.Second, 0, "exposes 0 series"},
		{"the first one", customInterval, 1, "exposes 1 series"},
		{"no other", customInterval, 1, ""},
	} {
		now.Step(step.after)
		series = step.series
		if err := c.look(t.Context()); step.wait == "" {
			require.NoError(t, err, step.name)
		} else {
			require.ErrorContains(t, err, step.wait, step.name)
		}
	}
	now.Step(customInterval)
	code = http.StatusInternalServerError
	require.ErrorContains(t, c.look(t.Context()), "500")
}

// A throttled kube-state-metrics exposes no custom resources for a while, like one without custom resources.
func TestNoCustomResourcesAreBelievedLate(t *testing.T) {
	c, now := newCustom(t, func(http.ResponseWriter, *http.Request) {})
	began := now.Now()
	for c.look(t.Context()) != nil {
		now.Step(customInterval)
	}
	assert.Equal(t, customPatience, now.Since(began))
}

// A reloading kube-state-metrics exposes no custom resources for a while, even if it exposed some before.
func TestNoCustomResourcesAreBelievedLateAfterSome(t *testing.T) {
	series := 10
	c, now := newCustom(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, strings.Repeat("kube_customresource_a{} 1\n", series))
	})
	require.Error(t, c.look(t.Context()))
	now.Step(2 * customPatience)
	require.NoError(t, c.look(t.Context()))
	now.Step(customInterval)
	series = 0
	began := now.Now()
	for c.look(t.Context()) != nil {
		now.Step(customInterval)
	}
	assert.Equal(t, customPatience, now.Since(began))
}

// Series whose number always grows must not delay the gate for long.
func TestCustomResourcesThatBecomeMoreAndMore(t *testing.T) {
	series := 0
	c, now := newCustom(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, strings.Repeat("kube_customresource_a{} 1\n", series))
	})
	began := now.Now()
	for c.look(t.Context()) != nil {
		now.Step(customInterval)
		series += 10
	}
	assert.Equal(t, 210*time.Second, now.Since(began))
}
