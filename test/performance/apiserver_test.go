package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const apiServerMetrics = `# TYPE apiserver_response_sizes histogram
apiserver_response_sizes_bucket{group="",resource="pods",scope="cluster",verb="LIST",le="+Inf"} 2
apiserver_response_sizes_sum{group="",resource="pods",scope="cluster",verb="LIST"} 1000
apiserver_response_sizes_count{group="",resource="pods",scope="cluster",verb="LIST"} 2
apiserver_response_sizes_bucket{group="",resource="pods",scope="namespace",verb="LIST",le="+Inf"} 1
apiserver_response_sizes_sum{group="",resource="pods",scope="namespace",verb="LIST"} 10
apiserver_response_sizes_count{group="",resource="pods",scope="namespace",verb="LIST"} 1
apiserver_response_sizes_bucket{group="",resource="pods",scope="resource",verb="GET",le="+Inf"} 1
apiserver_response_sizes_sum{group="",resource="pods",scope="resource",verb="GET"} 5
apiserver_response_sizes_count{group="",resource="pods",scope="resource",verb="GET"} 1
# TYPE apiserver_watch_events_sizes histogram
apiserver_watch_events_sizes_bucket{group="",resource="pods",version="v1",le="+Inf"} 4
apiserver_watch_events_sizes_sum{group="",resource="pods",version="v1"} 800
apiserver_watch_events_sizes_count{group="",resource="pods",version="v1"} 4
apiserver_watch_events_sizes_bucket{group="coordination.k8s.io",resource="leases",version="v1",le="+Inf"} 1
apiserver_watch_events_sizes_sum{group="coordination.k8s.io",resource="leases",version="v1"} 70
apiserver_watch_events_sizes_count{group="coordination.k8s.io",resource="leases",version="v1"} 1
# TYPE apiserver_request_total counter
apiserver_request_total{code="200",resource="pods",verb="LIST"} 3
apiserver_request_total{code="200",resource="pods",verb="GET"} 4
apiserver_request_total{code="200",resource="pods",verb="WATCH"} 5
# TYPE apiserver_longrunning_requests gauge
apiserver_longrunning_requests{resource="pods",verb="WATCH"} 6
apiserver_longrunning_requests{resource="pods",verb="CONNECT"} 7
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 12.5
`

func readText(t *testing.T, text string) (served, error) {
	t.Helper()
	families, err := parseMetrics(strings.NewReader(text))
	require.NoError(t, err)
	return servedOf(families)
}

func TestServedIsWhatTheMetricsCount(t *testing.T) {
	read, err := readText(t, apiServerMetrics)
	require.NoError(t, err)
	assert.Equal(t, served{
		listed: map[string]float64{"pods": 1010}, watched: map[string]float64{"pods": 800, "leases": 70},
		requests: 7, lists: 3, watches: 6, cpu: 12.5,
	}, read)
	assert.InDelta(t, 1810, read.sent("pods"), 0)
	assert.InDelta(t, 70, read.sentOfOthers([]string{"pods"}), 0)
}

// A renamed metric would look like a replica that costs nothing.
func TestAMissingMetricIsAnError(t *testing.T) {
	_, err := readText(t, strings.ReplaceAll(apiServerMetrics, "apiserver_watch_events_sizes", "renamed"))
	assert.ErrorContains(t, err, "no metric apiserver_watch_events_sizes")
}

func TestServedIsSubtractedAndDivided(t *testing.T) {
	before := served{listed: map[string]float64{"pods": 100}, watched: map[string]float64{}, requests: 1, lists: 1, watches: 2, cpu: 1}
	after := served{listed: map[string]float64{"pods": 300, "nodes": 20}, watched: map[string]float64{"pods": 8}, requests: 11, lists: 5, watches: 4, cpu: 3}
	assert.Equal(t, served{
		listed: map[string]float64{"pods": 100, "nodes": 10}, watched: map[string]float64{"pods": 4}, requests: 5, lists: 2, watches: 1, cpu: 1,
	}, after.minus(before).over(2))
}
