package loads

import (
	"context"
	"fmt"

	dto "github.com/prometheus/client_model/go"
	corev1 "k8s.io/api/core/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/telemetry"
)

const (
	cpuMetric = "process_cpu_seconds_total"
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

func read(ctx context.Context, client telemetry.Client, pod *corev1.Pod) (reading, error) {
	families, err := client.Read(ctx, telemetry.URL(pod.Status.PodIP, v1alpha1.PortTelemetry))
	if err != nil {
		return reading{}, fmt.Errorf("read pod %s: %w", pod.Name, err)
	}
	cpu := families[cpuMetric].GetMetric()
	if len(cpu) != 1 {
		return reading{}, fmt.Errorf("read pod %s: there is no metric %s", pod.Name, cpuMetric)
	}
	started, err := families.Started()
	if err != nil {
		return reading{}, fmt.Errorf("read pod %s: %w", pod.Name, err)
	}
	return reading{cpu: cpu[0].GetCounter().GetValue(), scraped: totalSeconds(families[scrapesMetric]), started: started}, nil
}

// totalSeconds is none if there is no such histogram, as before the first scrape.
func totalSeconds(histograms *dto.MetricFamily) float64 {
	var seconds float64
	for _, metric := range histograms.GetMetric() {
		seconds += metric.GetHistogram().GetSampleSum()
	}
	return seconds
}
