package gate

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/example/ksmscale/gate/collectors"
)

// metrics are the gate's own metrics.
type metrics struct {
	open             prometheus.Gauge
	openedByDeadline prometheus.Counter
	syncDuration     prometheus.Gauge
	missing, foreign *prometheus.GaugeVec
	listErrors       *prometheus.CounterVec
	measured         *collectors.Measurements
	counted          *collectors.Counts
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		open: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ksmscale_gate_open",
			Help: "1 once this process of kube-state-metrics has exposed all objects of its shard, 0 until then.",
		}),
		openedByDeadline: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ksmscale_gate_opened_by_deadline_total",
			Help: "Number of times that the gate opened because of its deadline, with objects missing.",
		}),
		syncDuration: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ksmscale_gate_sync_duration_seconds",
			Help: "Time from the first answer of kube-state-metrics until the gate opened.",
		}),
		missing: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ksmscale_gate_missing_objects",
			Help: "Number of objects of this shard that kube-state-metrics has not exposed yet since its start.",
		}, []string{"resource"}),
		foreign: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ksmscale_gate_foreign_objects",
			Help: "Number of objects that kube-state-metrics exposes although they belong to other shards. Above 0 the gate stays closed.",
		}, []string{"resource"}),
		listErrors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ksmscale_gate_list_errors_total",
			Help: "Number of failed lists of a resource, except lists that the API server refused.",
		}, []string{"resource"}),
		measured: collectors.NewMeasurements(),
		counted:  collectors.NewCounts(),
	}
	registry.MustRegister(m.open, m.openedByDeadline, m.syncDuration, m.missing, m.foreign, m.listErrors, m.measured, m.counted)
	return m
}

// setObjects sets the numbers of missing and foreign objects of each resource.
func (m *metrics) setObjects(c *check) {
	missing, foreign := c.missing(), c.foreign()
	for _, list := range c.listings {
		m.missing.WithLabelValues(list.Name).Set(float64(missing[list.Name]))
		m.foreign.WithLabelValues(list.Name).Set(float64(foreign[list.Name]))
	}
}
