package gate

import "github.com/prometheus/client_golang/prometheus"

// metrics are the gate's own.
type metrics struct {
	open             prometheus.Gauge
	openedByDeadline prometheus.Counter
	syncDuration     prometheus.Gauge
	missing          *prometheus.GaugeVec
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		open: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ksmscale_gate_open",
			Help: "1 once this process of kube-state-metrics has exposed its whole share, 0 until then.",
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
			Help: "Number of objects of this share that kube-state-metrics has not exposed yet since its start.",
		}, []string{"resource"}),
	}
	registry.MustRegister(m.open, m.openedByDeadline, m.syncDuration, m.missing)
	return m
}

func (m *metrics) setMissing(check *check) {
	for name, objects := range check.missing {
		m.missing.WithLabelValues(name).Set(float64(objects.Len()))
	}
}
