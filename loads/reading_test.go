package loads

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/example/ksmscale/telemetry"
)

const example = `# TYPE ksmscale_gate_monitor_cpu_seconds_total counter
ksmscale_gate_monitor_cpu_seconds_total 12.25
# TYPE ksmscale_gate_monitor_request_seconds_total counter
ksmscale_gate_monitor_request_seconds_total 3
# TYPE ksmscale_gate_monitor_start_time_seconds gauge
ksmscale_gate_monitor_start_time_seconds 1.7e+09
# TYPE ksmscale_gate_monitor_timestamp_seconds gauge
ksmscale_gate_monitor_timestamp_seconds 1.7e+09
`

func TestRead(t *testing.T) {
	for _, test := range []struct {
		name, metrics string
		code          int
		want          reading
		err           string
	}{
		{name: "as a gate answers", metrics: example, want: reading{cpu: 12.25, scraped: 3, started: 1.7e9, at: time.Unix(1.7e9, 0).UTC()}},
		{name: "an older gate, or one that knows nothing yet", metrics: "# TYPE ksmscale_gate_open gauge\nksmscale_gate_open 0\n", err: "does not export"},
		{name: "no metrics", metrics: "<html>", err: "parse metrics"},
		{name: "an error", code: http.StatusForbidden, err: "403 Forbidden"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var asked string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked = r.Host + r.URL.Path
				if test.code != 0 {
					w.WriteHeader(test.code)
				}
				_, _ = w.Write([]byte(test.metrics))
			}))
			defer server.Close()
			client := telemetry.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
			}}}
			actual, err := read(t.Context(), client, &corev1.Pod{Status: corev1.PodStatus{PodIP: "fd00::1"}})
			assert.Equal(t, "[fd00::1]:8082/metrics", asked)
			if test.err != "" {
				assert.ErrorContains(t, err, test.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, test.want, actual)
		})
	}
}
