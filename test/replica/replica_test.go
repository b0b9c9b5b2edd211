package replica

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestScrapeCountsSeriesAndBytes(t *testing.T) {
	const text = "# HELP kube_pod_info About pods.\n# TYPE kube_pod_info gauge\nkube_pod_info{pod=\"a\"} 1\nkube_pod_info{pod=\"b\"} 1\n"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }))
	defer server.Close()
	series, size, err := Scrape(t.Context(), server.URL)
	require.NoError(t, err)
	assert.Equal(t, 2, series)
	assert.Equal(t, len(text), size)
}
