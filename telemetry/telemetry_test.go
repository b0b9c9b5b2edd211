package telemetry

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReadIsNotRedirected(t *testing.T) {
	requests := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}))
	defer server.Close()
	_, err := Client{}.Read(t.Context(), server.URL)
	assert.ErrorContains(t, err, "the server answered 302 Found", "kube-state-metrics and gates answer")
	assert.Equal(t, 1, requests)
}

func TestFamilies(t *testing.T) {
	body := "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds 1.5\n" +
		`kube_state_metrics_build_info{revision="unknown",version="v2.10.1"} 1` + "\n"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }))
	defer server.Close()
	families, err := Client{}.Read(t.Context(), server.URL)
	require.NoError(t, err)
	started, err := families.Started()
	require.NoError(t, err)
	assert.InDelta(t, 1.5, started, 0)
	version, err := families.Version()
	require.NoError(t, err)
	assert.Equal(t, "v2.10.1", version)

	for _, body = range []string{"up 1\n", "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds 0\nkube_state_metrics_build_info 1\n"} {
		families, err := Client{}.Read(t.Context(), server.URL)
		require.NoError(t, err)
		_, err = families.Started()
		require.ErrorContains(t, err, "the answer has no metric process_start_time_seconds")
		_, err = families.Version()
		require.ErrorContains(t, err, "the answer has no metric kube_state_metrics_build_info")
	}
}

func TestURL(t *testing.T) {
	assert.Equal(t, "http://10.0.0.1:8081/metrics", URL("10.0.0.1", 8081))
	assert.Equal(t, "http://[fd00::1]:8081/metrics", URL("fd00::1", 8081))
}
