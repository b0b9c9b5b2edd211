package collectors

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/example/ksmscale/measurements"
	"github.com/example/ksmscale/telemetry"
)

// Families that kube-state-metrics exports about itself.
const (
	residentMemoryMetric  = "process_resident_memory_bytes"
	cpuMetric             = "process_cpu_seconds_total"
	requestDurationMetric = "http_request_duration_seconds"
)

// Measurements is a collector of the gate's measurements of kube-state-metrics. A value that is not known yet has no series.
type Measurements struct {
	Failures prometheus.Counter

	mu          sync.Mutex
	measurement measurements.Measurement
}

// NewMeasurements returns a collector without measurements.
func NewMeasurements() *Measurements {
	return &Measurements{Failures: prometheus.NewCounter(prometheus.CounterOpts{
		Name: measurements.MeasurementErrors,
		Help: "Number of failed readings of everything that kube-state-metrics exposes.",
	})}
}

// Observe records the metrics that a process of kube-state-metrics exports about itself. Each process has its own peak.
func (m *Measurements) Observe(families telemetry.Families, now time.Time) {
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

func first(from *dto.MetricFamily) *dto.Metric {
	for _, metric := range from.GetMetric() {
		return metric
	}
	return nil
}

// Resume starts with the peak that was known before the gate's container restarted.
func (m *Measurements) Resume(started float64, peak int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.measurement.Process = measurements.Process{StartTimeSeconds: started, PeakMemoryBytes: peak}
}

// PeakOf is the highest memory of the process with a start time, in bytes; 0 if another process runs.
func (m *Measurements) PeakOf(started float64) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.measurement.StartTimeSeconds != started {
		return 0
	}
	return m.measurement.PeakMemoryBytes
}

// Set replaces the numbers of the exposition.
func (m *Measurements) Set(exposition measurements.Exposition) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.measurement.Exposition = exposition
}

// gauge and counter describe metrics whose value is read at collection.
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
	transferredBytesDesc = gauge(measurements.TransferredBytes, "Transferred size of the last reading, which is smaller if kube-state-metrics compresses.")
	scrapeDurationDesc   = gauge(measurements.ScrapeDuration, "Duration of the last reading.")
	measuredAtDesc       = gauge(measurements.MeasurementTimestamp, "Time of the last reading.")
	objectsDesc          = gauge(measurements.Objects, "Number of objects that kube-state-metrics exposed at the last reading.", measurements.ResourceLabel)

	peakMemoryDesc = gauge(measurements.PeakMemory, "Highest resident memory of this process of kube-state-metrics since its start.")
	cpuDesc        = counter(measurements.CPU, "CPU time of this process of kube-state-metrics since its start.")
	requestsDesc   = counter(measurements.Requests, "Time for which this process of kube-state-metrics has answered requests for metrics since its start.")
	startTimeDesc  = gauge(measurements.StartTime, "Start time of this process of kube-state-metrics.")
	readAtDesc     = gauge(measurements.ProcessTimestamp, "Time when kube-state-metrics last reported the use of its process.")
)

// Describe sends the descriptions of all metrics.
func (m *Measurements) Describe(descriptions chan<- *prometheus.Desc) {
	m.Failures.Describe(descriptions)
	for _, one := range []desc{
		seriesDesc, expositionBytesDesc, transferredBytesDesc, scrapeDurationDesc, measuredAtDesc, objectsDesc,
		peakMemoryDesc, cpuDesc, requestsDesc, startTimeDesc, readAtDesc,
	} {
		descriptions <- one.Desc
	}
}

// Collect sends the metrics of the known values.
func (m *Measurements) Collect(to chan<- prometheus.Metric) {
	m.mu.Lock()
	measurement := m.measurement
	m.mu.Unlock()
	m.Failures.Collect(to)
	if exposition := measurement.Exposition; !exposition.MeasuredAt.IsZero() {
		to <- seriesDesc.of(float64(exposition.Series))
		to <- expositionBytesDesc.of(float64(exposition.ExpositionBytes))
		to <- transferredBytesDesc.of(float64(exposition.TransferredBytes))
		to <- scrapeDurationDesc.of(exposition.ScrapeSeconds)
		to <- measuredAtDesc.of(measurements.Seconds(exposition.MeasuredAt))
		for name, count := range exposition.Objects {
			to <- objectsDesc.of(float64(count), name)
		}
	}
	if used := measurement.Process; !used.ReadAt.IsZero() {
		to <- peakMemoryDesc.of(float64(used.PeakMemoryBytes))
		to <- cpuDesc.of(used.CPUSeconds)
		to <- requestsDesc.of(used.RequestSeconds)
		to <- startTimeDesc.of(used.StartTimeSeconds)
		to <- readAtDesc.of(measurements.Seconds(used.ReadAt))
	}
}
