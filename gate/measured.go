package gate

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/example/ksmscale/measurements"
	"github.com/example/ksmscale/telemetry"
)

// Families that kube-state-metrics exports of itself.
const (
	residentMemoryMetric  = "process_resident_memory_bytes"
	cpuMetric             = "process_cpu_seconds_total"
	requestDurationMetric = "http_request_duration_seconds"
)

// measured is what the gate has measured of kube-state-metrics, as a collector: what is not known yet has no series.
type measured struct {
	failures prometheus.Counter

	mu          sync.Mutex
	measurement measurements.Measurement
}

func newMeasured() *measured {
	return &measured{failures: prometheus.NewCounter(prometheus.CounterOpts{
		Name: measurements.MeasurementErrors,
		Help: "Number of readings of everything that kube-state-metrics exposes that failed.",
	})}
}

// observe takes in what a process of kube-state-metrics exports of itself. Another process has another peak.
func (m *measured) observe(families telemetry.Families, now time.Time) {
	started, err := families.Started()
	if err != nil {
		return
	}
	read := measurements.Process{
		StartTimeSeconds: started,
		CPUSeconds:       first(families[cpuMetric]).GetCounter().GetValue(),
		PeakMemoryBytes:  int64(first(families[residentMemoryMetric]).GetGauge().GetValue()),
		ReadAt:           now,
	}
	for _, metric := range families[requestDurationMetric].GetMetric() {
		read.RequestSeconds += metric.GetHistogram().GetSampleSum()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if before := m.measurement.Process; before.StartTimeSeconds == started {
		read.PeakMemoryBytes = max(read.PeakMemoryBytes, before.PeakMemoryBytes)
	}
	m.measurement.Process = read
}

func first(family *dto.MetricFamily) *dto.Metric {
	for _, metric := range family.GetMetric() {
		return metric
	}
	return nil
}

// resume starts with the peak that the gate knew before its container restarted.
func (m *measured) resume(started float64, peak int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.measurement.Process = measurements.Process{StartTimeSeconds: started, PeakMemoryBytes: peak}
}

// peakOf is the highest memory of a process; 0 if another one runs.
func (m *measured) peakOf(running process) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.measurement.StartTimeSeconds != running.started {
		return 0
	}
	return m.measurement.PeakMemoryBytes
}

// set replaces what is exposed.
func (m *measured) set(exposition measurements.Exposition) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.measurement.Exposition = exposition
}

// gauge and counter are metrics whose value is read when they are collected.
func gauge(name, help string, labels ...string) desc {
	return desc{prometheus.NewDesc(name, help, labels, nil), prometheus.GaugeValue}
}

func counter(name, help string) desc {
	return desc{prometheus.NewDesc(name, help, nil, nil), prometheus.CounterValue}
}

type desc struct {
	*prometheus.Desc
	kind prometheus.ValueType
}

func (d desc) of(value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d.Desc, d.kind, value, labels...)
}

var (
	seriesDesc           = gauge(measurements.Series, "Number of series that kube-state-metrics exposed at the last reading.")
	expositionBytesDesc  = gauge(measurements.ExpositionBytes, "Size of everything that kube-state-metrics exposed at the last reading, without compression.")
	transferredBytesDesc = gauge(measurements.TransferredBytes, "Size of the same as it was transferred, which is smaller if kube-state-metrics compresses.")
	scrapeDurationDesc   = gauge(measurements.ScrapeDuration, "Time that the last reading took.")
	measuredAtDesc       = gauge(measurements.MeasurementTimestamp, "Time of the last reading.")
	objectsDesc          = gauge(measurements.Objects, "Number of objects that kube-state-metrics exposed at the last reading.", measurements.ResourceLabel)

	peakMemoryDesc = gauge(measurements.PeakMemory, "Highest resident memory of this process of kube-state-metrics since its start.")
	cpuDesc        = counter(measurements.CPU, "CPU time of this process of kube-state-metrics since its start.")
	requestsDesc   = counter(measurements.Requests, "Time that this process of kube-state-metrics has answered requests for metrics since its start.")
	startTimeDesc  = gauge(measurements.StartTime, "Start time of this process of kube-state-metrics.")
	readAtDesc     = gauge(measurements.ProcessTimestamp, "Time when kube-state-metrics last told what its process has used.")
)

// Describe sends the descriptions of all metrics.
func (m *measured) Describe(descriptions chan<- *prometheus.Desc) {
	m.failures.Describe(descriptions)
	for _, one := range []desc{
		seriesDesc, expositionBytesDesc, transferredBytesDesc, scrapeDurationDesc, measuredAtDesc, objectsDesc,
		peakMemoryDesc, cpuDesc, requestsDesc, startTimeDesc, readAtDesc,
	} {
		descriptions <- one.Desc
	}
}

// Collect sends the metrics of what is known.
func (m *measured) Collect(metrics chan<- prometheus.Metric) {
	m.mu.Lock()
	measurement := m.measurement
	m.mu.Unlock()
	m.failures.Collect(metrics)
	if exposition := measurement.Exposition; !exposition.MeasuredAt.IsZero() {
		metrics <- seriesDesc.of(float64(exposition.Series))
		metrics <- expositionBytesDesc.of(float64(exposition.ExpositionBytes))
		metrics <- transferredBytesDesc.of(float64(exposition.TransferredBytes))
		metrics <- scrapeDurationDesc.of(exposition.ScrapeSeconds)
		metrics <- measuredAtDesc.of(measurements.Seconds(exposition.MeasuredAt))
		for name, count := range exposition.Objects {
			metrics <- objectsDesc.of(float64(count), name)
		}
	}
	if process := measurement.Process; !process.ReadAt.IsZero() {
		metrics <- peakMemoryDesc.of(float64(process.PeakMemoryBytes))
		metrics <- cpuDesc.of(process.CPUSeconds)
		metrics <- requestsDesc.of(process.RequestSeconds)
		metrics <- startTimeDesc.of(process.StartTimeSeconds)
		metrics <- readAtDesc.of(measurements.Seconds(process.ReadAt))
	}
}
