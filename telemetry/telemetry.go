package telemetry

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

const (
	timeout = 5 * time.Second
	// maxSize, in bytes, is far above the size of kube-state-metrics' own metrics.
	maxSize = 8 << 20

	startTimeMetric  = "process_start_time_seconds"
	buildInfoMetric  = "kube_state_metrics_build_info"
	buildInfoVersion = "version"
)

// unpooled opens a connection for each request, because pods come and go.
var unpooled = &http.Transport{DisableKeepAlives: true}

// URL is the URL of a host's telemetry, without TLS.
func URL(host string, port int32) string {
	return "http://" + net.JoinHostPort(host, strconv.Itoa(int(port))) + "/metrics"
}

// Families are families of metrics by their names.
type Families map[string]*dto.MetricFamily

// Started is the start time of the process in seconds, which is above 0. Another value means another process.
func (f Families) Started() (float64, error) {
	for _, metric := range f[startTimeMetric].GetMetric() {
		if started := metric.GetGauge().GetValue(); started > 0 {
			return started, nil
		}
	}
	return 0, fmt.Errorf("the answer has no metric %s with a time", startTimeMetric)
}

// Version is the version that kube-state-metrics reports.
func (f Families) Version() (string, error) {
	for _, metric := range f[buildInfoMetric].GetMetric() {
		for _, label := range metric.GetLabel() {
			if label.GetName() == buildInfoVersion {
				return label.GetValue(), nil
			}
		}
	}
	return "", fmt.Errorf("the answer has no metric %s with a version", buildInfoMetric)
}

// Client reads telemetry. It follows no redirects.
type Client struct {
	// Transport opens the connections; nil to open one for each request.
	Transport http.RoundTripper
}

// Read returns the metrics that the kube-state-metrics at a URL exports about itself. It returns an error if the answer
// takes longer than five seconds, or has no metrics.
func (c Client) Read(ctx context.Context, url string) (Families, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", string(expfmt.NewFormat(expfmt.TypeTextPlain)))
	client := http.Client{Timeout: timeout, CheckRedirect: stay, Transport: c.Transport}
	if client.Transport == nil {
		client.Transport = unpooled
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answered %s", response.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(io.LimitReader(response.Body, maxSize))
	if err != nil {
		return nil, fmt.Errorf("parse metrics: %w", err)
	}
	return families, nil
}

func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
