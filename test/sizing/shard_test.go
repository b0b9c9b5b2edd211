package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestResultIsTheEndOfARow(t *testing.T) {
	measured := result{series: 7, bytes: 1_200_000, memory: 3 << 20, most: 4 << 20, gateMost: 5 << 20, load: 2500 * time.Millisecond, scrape: 15 * time.Millisecond, gateLoad: time.Second}
	assert.Equal(t, "7 | 1.2 MB | 3 MiB | 4 MiB | 2.50 s | 0.015 s | 5 MiB | 1.00 s", measured.String())
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
