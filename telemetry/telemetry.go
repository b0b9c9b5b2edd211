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
	// maxSize, in bytes, is far above what kube-state-metrics tells of itself.
	maxSize = 8 << 20

	startTimeMetric  = "process_start_time_seconds"
	buildInfoMetric  = "kube_state_metrics_build_info"
	buildInfoVersion = "version"
)

// anew makes a connection each time: pods come and go.
var anew = &http.Transport{DisableKeepAlives: true}

// URL is where a host serves its telemetry, without TLS.
func URL(host string, port int32) string {
	return "http://" + net.JoinHostPort(host, strconv.Itoa(int(port))) + "/metrics"
}

// Families are families of metrics by their names.
type Families map[string]*dto.MetricFamily

// Started is when the process started, in seconds, which is above 0: another value is another process.
func (f Families) Started() (float64, error) {
	for _, metric := range f[startTimeMetric].GetMetric() {
		if started := metric.GetGauge().GetValue(); started > 0 {
			return started, nil
		}
	}
	return 0, fmt.Errorf("there is no metric %s with a time", startTimeMetric)
}

// Version is that of kube-state-metrics as it names itself.
func (f Families) Version() (string, error) {
	for _, metric := range f[buildInfoMetric].GetMetric() {
		for _, label := range metric.GetLabel() {
			if label.GetName() == buildInfoVersion {
				return label.GetValue(), nil
			}
		}
	}
	return "", fmt.Errorf("there is no metric %s with a version", buildInfoMetric)
}

// Client reads telemetry. It goes where it is told, and nowhere else, such as where that redirects to.
type Client struct {
	// Transport is how it connects; nil for a connection of its own each time.
	Transport http.RoundTripper
}

// Read returns what the kube-state-metrics behind a URL exports of itself. It returns an error if that does not answer
// within five seconds, or not with metrics.
func (c Client) Read(ctx context.Context, url string) (Families, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", string(expfmt.NewFormat(expfmt.TypeTextPlain)))
	client := http.Client{Timeout: timeout, CheckRedirect: stay, Transport: c.Transport}
	if client.Transport == nil {
		client.Transport = anew
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("kube-state-metrics answers %s", response.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(io.LimitReader(response.Body, maxSize))
	if err != nil {
		return nil, fmt.Errorf("parse metrics: %w", err)
	}
	return families, nil
}

func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
