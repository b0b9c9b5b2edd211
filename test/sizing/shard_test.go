package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestField(t *testing.T) {
	const status = "Name:\tgate\nVmHWM:\t   26624 kB\nVmRSS:\t   20480 kB\n"
	most, err := field(status, "VmHWM")
	require.NoError(t, err)
	assert.Equal(t, 26<<20, most)
	_, err = field(status, "VmSwap")
	require.ErrorContains(t, err, "VmSwap")
	_, err = field("VmRSS:\tmuch kB\n", "VmRSS")
	require.Error(t, err)
}

func TestMemoryIsThatOfAProcess(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("memory is read on Linux only")
	}
	now, most, err := memory(os.Getpid())
	require.NoError(t, err)
	assert.Positive(t, now)
	assert.GreaterOrEqual(t, most, now)
}

func TestScrapeCountsSeriesAndBytes(t *testing.T) {
	const text = "# HELP kube_pod_info About pods.\n# TYPE kube_pod_info gauge\nkube_pod_info{pod=\"a\"} 1\nkube_pod_info{pod=\"b\"} 1\n"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }))
	defer server.Close()
	series, size, err := scrape(t.Context(), server.URL)
	require.NoError(t, err)
	assert.Equal(t, 2, series)
	assert.Equal(t, len(text), size)
}
