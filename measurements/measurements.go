package measurements

import (
	"context"
	"fmt"
	"math"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/example/ksmscale/telemetry"
)

// Metrics of the gate about the exposition of kube-state-metrics. They are absent before the first reading.
const (
	Series               = "ksmscale_gate_series"
	ExpositionBytes      = "ksmscale_gate_exposition_bytes"
	TransferredBytes     = "ksmscale_gate_exposition_transferred_bytes"
	Objects              = "ksmscale_gate_objects"
	ScrapeDuration       = "ksmscale_gate_scrape_duration_seconds"
	MeasurementTimestamp = "ksmscale_gate_measurement_timestamp_seconds"
	MeasurementErrors    = "ksmscale_gate_measurement_errors_total"

	// ResourceLabel is the label of Objects.
	ResourceLabel = "resource"
)

// Metrics of the gate about the process of kube-state-metrics. They are absent before its first answer.
const (
	PeakMemory       = "ksmscale_gate_monitor_resident_memory_max_bytes"
	CPU              = "ksmscale_gate_monitor_cpu_seconds_total"
	Requests         = "ksmscale_gate_monitor_request_seconds_total"
	StartTime        = "ksmscale_gate_monitor_start_time_seconds"
	ProcessTimestamp = "ksmscale_gate_monitor_timestamp_seconds"
)

// Measurement is all measurements of a gate.
type Measurement struct {
	Exposition
	Process
	Counts
}

// Exposition describes one reading of everything that kube-state-metrics exposes.
type Exposition struct {
	// Series is the number of series.
	Series int64
	// ExpositionBytes is the size of the page without compression, which scrapers limit. TransferredBytes is smaller if
	// kube-state-metrics compresses.
	ExpositionBytes, TransferredBytes int64
	// Objects is the number of objects of each exported resource, except custom resources.
	Objects map[string]int64
	// ScrapeSeconds is how long the reading took.
	ScrapeSeconds float64
	// MeasuredAt is when it ended; zero if the gate has not read the page yet.
	MeasuredAt time.Time
}

// Process describes the resources that a process of kube-state-metrics has used.
type Process struct {
	// StartTimeSeconds differs between two processes; 0 if the gate does not know the process.
	StartTimeSeconds float64
	// PeakMemoryBytes is the highest resident memory that the gate has seen of the process.
	PeakMemoryBytes int64
	// CPUSeconds is the CPU time since the start, and RequestSeconds how long the process has answered scrapes.
	CPUSeconds, RequestSeconds float64
	// ReadAt is when the gate read CPUSeconds and RequestSeconds.
	ReadAt time.Time
}

// Read returns the measurements of the gate at a URL. An older gate exports no measurements, so StartTimeSeconds and
// MeasuredAt are zero. It returns an error if the answer takes longer than five seconds, or has no metrics.
func Read(ctx context.Context, client telemetry.Client, url string) (Measurement, error) {
	families, err := client.Read(ctx, url)
	if err != nil {
		return Measurement{}, fmt.Errorf("read the gate: %w", err)
	}
	return Of(families), nil
}

// Of returns the measurement in the metrics of a gate.
func Of(families telemetry.Families) Measurement {
	objects := map[string]int64{}
	for _, metric := range families[Objects].GetMetric() {
		objects[labelOf(metric, ResourceLabel)] = int64(valueOf(metric))
	}
	value := func(name string) float64 {
		for _, metric := range families[name].GetMetric() {
			return valueOf(metric)
		}
		return 0
	}
	return Measurement{
		Exposition: Exposition{
			Series: int64(value(Series)), ExpositionBytes: int64(value(ExpositionBytes)), TransferredBytes: int64(value(TransferredBytes)),
			Objects: objects, ScrapeSeconds: value(ScrapeDuration), MeasuredAt: timeOf(value(MeasurementTimestamp)),
		},
		Process: Process{
			StartTimeSeconds: value(StartTime), PeakMemoryBytes: int64(value(PeakMemory)),
			CPUSeconds: value(CPU), RequestSeconds: value(Requests), ReadAt: timeOf(value(ProcessTimestamp)),
		},
		Counts: countsOf(families, value),
	}
}

// valueOf is the value of a gauge or a counter.
func valueOf(metric *dto.Metric) float64 {
	if metric.GetCounter() != nil {
		return metric.GetCounter().GetValue()
	}
	return metric.GetGauge().GetValue()
}

// Seconds is a time in the unit of metrics.
func Seconds(at time.Time) float64 { return float64(at.UnixMilli()) / 1000 }

// timeOf is the inverse of Seconds; zero for no time.
func timeOf(seconds float64) time.Time {
	if seconds <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(math.Round(seconds * 1000))).UTC()
}
