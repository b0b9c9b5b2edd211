package loads

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
	corev1 "k8s.io/api/core/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

const (
	// maxTelemetry is far above what kube-state-metrics tells of itself.
	maxTelemetry = 8 << 20
	readTimeout  = 5 * time.Second

	cpuMetric       = "process_cpu_seconds_total"
	startTimeMetric = "process_start_time_seconds"
	// scrapesMetric is how long answers to scrapes took.
	scrapesMetric = "http_request_duration_seconds"
)

// reading is what a kube-state-metrics has used since it started.
type reading struct {
	// cpu is all the CPU, in seconds.
	cpu float64
	// scraped is for how many seconds it has answered scrapes.
	scraped float64
	// started is when it started: another value is another process.
	started float64
}

// telemetry reads kube-state-metrics' metrics of itself.
type telemetry struct{ client *http.Client }

// newTelemetry returns one that connects anew each time: pods come and go.
func newTelemetry() telemetry {
	return telemetry{client: &http.Client{Timeout: readTimeout, CheckRedirect: noRedirect, Transport: &http.Transport{DisableKeepAlives: true}}}
}

func (t telemetry) read(ctx context.Context, pod *corev1.Pod) (reading, error) {
	address := "http://" + net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(int(v1alpha1.PortTelemetry))) + "/metrics"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return reading{}, fmt.Errorf("read pod %s: %w", pod.Name, err)
	}
	request.Header.Set("Accept", string(expfmt.NewFormat(expfmt.TypeTextPlain)))
	response, err := t.client.Do(request)
	if err != nil {
		return reading{}, fmt.Errorf("read pod %s: %w", pod.Name, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return reading{}, fmt.Errorf("read pod %s: %s", pod.Name, response.Status)
	}
	is, err := parse(io.LimitReader(response.Body, maxTelemetry))
	if err != nil {
		return reading{}, fmt.Errorf("read pod %s: %w", pod.Name, err)
	}
	return is, nil
}

func parse(metrics io.Reader) (reading, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(metrics)
	if err != nil {
		return reading{}, fmt.Errorf("parse metrics: %w", err)
	}
	cpu, started := families[cpuMetric].GetMetric(), families[startTimeMetric].GetMetric()
	if len(cpu) != 1 || len(started) != 1 {
		return reading{}, fmt.Errorf("there is no metric %s or %s", cpuMetric, startTimeMetric)
	}
	return reading{
		cpu:     cpu[0].GetCounter().GetValue(),
		scraped: totalSeconds(families[scrapesMetric]),
		started: started[0].GetGauge().GetValue(),
	}, nil
}

// totalSeconds is none if there is no such histogram, as before the first scrape.
func totalSeconds(histograms *dto.MetricFamily) float64 {
	var seconds float64
	for _, metric := range histograms.GetMetric() {
		seconds += metric.GetHistogram().GetSampleSum()
	}
	return seconds
}

// noRedirect keeps a pod from having the controller ask somewhere else.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
