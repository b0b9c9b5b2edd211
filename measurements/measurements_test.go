package measurements

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/example/ksmscale/telemetry"
)

const page = `# TYPE ksmscale_gate_series gauge
ksmscale_gate_series 250000
# TYPE ksmscale_gate_exposition_bytes gauge
ksmscale_gate_exposition_bytes 4.25e+07
# TYPE ksmscale_gate_exposition_transferred_bytes gauge
ksmscale_gate_exposition_transferred_bytes 3e+06
# TYPE ksmscale_gate_objects gauge
ksmscale_gate_objects{resource="nodes"} 0
ksmscale_gate_objects{resource="pods"} 7142
# TYPE ksmscale_gate_scrape_duration_seconds gauge
ksmscale_gate_scrape_duration_seconds 0.75
# TYPE ksmscale_gate_measurement_timestamp_seconds gauge
ksmscale_gate_measurement_timestamp_seconds 1.767225600125e+09
# TYPE ksmscale_gate_monitor_resident_memory_max_bytes gauge
ksmscale_gate_monitor_resident_memory_max_bytes 3e+08
# TYPE ksmscale_gate_monitor_cpu_seconds_total counter
ksmscale_gate_monitor_cpu_seconds_total 12.25
# TYPE ksmscale_gate_monitor_request_seconds_total counter
ksmscale_gate_monitor_request_seconds_total 2.5
# TYPE ksmscale_gate_monitor_start_time_seconds gauge
ksmscale_gate_monitor_start_time_seconds 1.7672e+09
# TYPE ksmscale_gate_monitor_timestamp_seconds gauge
ksmscale_gate_monitor_timestamp_seconds 1.767225601e+09
# TYPE ksmscale_gate_count_timestamp_seconds gauge
ksmscale_gate_count_timestamp_seconds 1.7672256e+09
# TYPE ksmscale_gate_count_interval_seconds gauge
ksmscale_gate_count_interval_seconds 60
# TYPE ksmscale_gate_cluster_objects gauge
ksmscale_gate_cluster_objects{moment="before",resource="pods"} 20000
ksmscale_gate_cluster_objects{moment="after",resource="pods"} 20010
# TYPE ksmscale_gate_exposed_objects gauge
ksmscale_gate_exposed_objects{resource="pods"} 7142
# TYPE ksmscale_gate_exposed_foreign_objects gauge
ksmscale_gate_exposed_foreign_objects{resource="pods"} 3
# TYPE ksmscale_gate_uncounted_resources gauge
ksmscale_gate_uncounted_resources{reason="not listable",resource="secrets"} 1
`

func TestRead(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 125e6, time.UTC)
	for name, test := range map[string]struct {
		answer string
		code   int
		want   Measurement
		err    string
	}{
		"a gate that has measured": {answer: page, want: Measurement{
			Exposition: Exposition{
				Series: 250_000, ExpositionBytes: 42_500_000, TransferredBytes: 3_000_000,
				Objects: map[string]int64{"nodes": 0, "pods": 7142}, ScrapeSeconds: 0.75, MeasuredAt: now,
			},
			Process: Process{
				StartTimeSeconds: 1.7672e9, PeakMemoryBytes: 300_000_000, CPUSeconds: 12.25, RequestSeconds: 2.5, ReadAt: now.Add(875 * time.Millisecond),
			},
			Counts: Counts{
				RoundAt: now.Truncate(time.Second), Interval: time.Minute,
				Resources: map[string]Count{"pods": {Before: 20_000, After: 20_010, Exposed: 7142, Foreign: 3}},
				Uncounted: map[string]string{"secrets": UncountedForbidden},
			},
		}},
		"a gate that has not, or an older one": {answer: "# TYPE ksmscale_gate_open gauge\nksmscale_gate_open 1\n", want: Measurement{Exposition: Exposition{Objects: map[string]int64{}}}},
		"no metrics":                           {answer: "<html>", err: "read the gate: parse metrics"},
		"an error":                             {answer: "no", code: http.StatusServiceUnavailable, err: "503"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if test.code != 0 {
					w.WriteHeader(test.code)
				}
				_, _ = w.Write([]byte(test.answer))
			}))
			defer server.Close()
			measurement, err := Read(t.Context(), telemetry.Client{}, server.URL)
			if test.err != "" {
				require.ErrorContains(t, err, test.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, test.want, measurement)
		})
	}
}

func TestSeconds(t *testing.T) {
	at := time.Date(2026, 11, 27, 2, 3, 4, 567e6, time.UTC)
	assert.Equal(t, at, timeOf(Seconds(at)))
	assert.True(t, timeOf(0).IsZero())
}
