package loads

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/example/ksmscale/telemetry"
)

const example = `# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{handler="metrics",method="get",le="+Inf"} 7
http_request_duration_seconds_sum{handler="metrics",method="get"} 2.5
http_request_duration_seconds_count{handler="metrics",method="get"} 7
http_request_duration_seconds_bucket{handler="metrics",method="head",le="+Inf"} 1
http_request_duration_seconds_sum{handler="metrics",method="head"} 0.5
http_request_duration_seconds_count{handler="metrics",method="head"} 1
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 12.25
# TYPE process_start_time_seconds gauge
process_start_time_seconds 1.7e+09
`

func TestRead(t *testing.T) {
	for _, test := range []struct {
		name, metrics string
		code          int
		want          reading
		err           string
	}{
		{name: "as kube-state-metrics answers", metrics: example, want: reading{cpu: 12.25, scraped: 3, started: 1.7e9}},
		{name: "before the first scrape", metrics: example[strings.Index(example, "# TYPE process_cpu"):], want: reading{cpu: 12.25, started: 1.7e9}},
		{name: "another program", metrics: "up 1\n", err: "there is no metric process_cpu_seconds_total"},
		{name: "no start", metrics: example[:strings.Index(example, "# TYPE process_start")], err: "the answer has no metric process_start_time_seconds"},
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
			is, err := read(t.Context(), client, &corev1.Pod{Status: corev1.PodStatus{PodIP: "fd00::1"}})
			assert.Equal(t, "[fd00::1]:8081/metrics", asked)
			if test.err != "" {
				assert.ErrorContains(t, err, test.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, test.want, is)
		})
	}
}
