package main

import (
	"context"
	"fmt"
	"io"
	"maps"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"k8s.io/client-go/rest"
)

// served is what an API server has done, by its own metrics.
type served struct {
	// listed are the bytes of answers to lists, and watched the bytes of events of watches, by resource. Both are as sent:
	// lists may be compressed.
	listed, watched map[string]float64
	// requests have ended, and are no watches. lists are part of them.
	requests, lists float64
	// watches are open: a state, or its change.
	watches float64
	// cpu is in seconds.
	cpu float64
}

// readServed reads the metrics of an API server.
func readServed(ctx context.Context, client rest.Interface) (served, error) {
	body, err := client.Get().AbsPath("/metrics").Stream(ctx)
	if err != nil {
		return served{}, fmt.Errorf("read the metrics of the API server: %w", err)
	}
	defer body.Close()
	families, err := parseMetrics(body)
	if err != nil {
		return served{}, fmt.Errorf("parse the metrics of the API server: %w", err)
	}
	return servedOf(families)
}

func parseMetrics(text io.Reader) (map[string]*dto.MetricFamily, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(text)
}

// servedOf returns an error if a metric is missing, because it would look like an API server that did nothing.
func servedOf(families map[string]*dto.MetricFamily) (served, error) {
	const (
		responses = "apiserver_response_sizes"
		events    = "apiserver_watch_events_sizes"
		requests  = "apiserver_request_total"
		open      = "apiserver_longrunning_requests"
		cpu       = "process_cpu_seconds_total"
	)
	for _, name := range []string{responses, events, requests, open, cpu} {
		if len(families[name].GetMetric()) == 0 {
			return served{}, fmt.Errorf("the API server has no metric %s", name)
		}
	}
	of := served{listed: map[string]float64{}, watched: map[string]float64{}}
	for _, metric := range families[responses].GetMetric() {
		if labels := labelsOf(metric); labels["verb"] == "LIST" {
			of.listed[labels["resource"]] += metric.GetHistogram().GetSampleSum()
		}
	}
	for _, metric := range families[events].GetMetric() {
		of.watched[labelsOf(metric)["resource"]] += metric.GetHistogram().GetSampleSum()
	}
	for _, metric := range families[requests].GetMetric() {
		switch labelsOf(metric)["verb"] {
		case "WATCH":
		case "LIST":
			of.lists += metric.GetCounter().GetValue()
			fallthrough
		default:
			of.requests += metric.GetCounter().GetValue()
		}
	}
	for _, metric := range families[open].GetMetric() {
		if labelsOf(metric)["verb"] == "WATCH" {
			of.watches += metric.GetGauge().GetValue()
		}
	}
	of.cpu = families[cpu].GetMetric()[0].GetCounter().GetValue()
	return of, nil
}

func labelsOf(metric *dto.Metric) map[string]string {
	labels := map[string]string{}
	for _, label := range metric.GetLabel() {
		labels[label.GetName()] = label.GetValue()
	}
	return labels
}

// minus is what was done in addition to other.
func (s served) minus(other served) served {
	return served{
		listed: subtract(s.listed, other.listed), watched: subtract(s.watched, other.watched),
		requests: s.requests - other.requests, lists: s.lists - other.lists,
		watches: s.watches - other.watches, cpu: s.cpu - other.cpu,
	}
}

// over is the mean for each of several units of time.
func (s served) over(units float64) served {
	divided := served{
		listed: maps.Clone(s.listed), watched: maps.Clone(s.watched),
		requests: s.requests / units, lists: s.lists / units, watches: s.watches / units, cpu: s.cpu / units,
	}
	for _, bytes := range []map[string]float64{divided.listed, divided.watched} {
		for resource := range bytes {
			bytes[resource] /= units
		}
	}
	return divided
}

// sent are the bytes of answers to lists and of events of watches, of one resource.
func (s served) sent(resource string) float64 { return s.listed[resource] + s.watched[resource] }

// sentOfOthers is sent for all resources but some.
func (s served) sentOfOthers(resources []string) float64 {
	sum := total(s.listed) + total(s.watched)
	for _, resource := range resources {
		sum -= s.sent(resource)
	}
	return sum
}

func subtract(from, other map[string]float64) map[string]float64 {
	difference := maps.Clone(from)
	for key, value := range other {
		difference[key] -= value
	}
	return difference
}

func total(bytes map[string]float64) (sum float64) {
	for _, value := range bytes {
		sum += value
	}
	return sum
}
