package gate

import "github.com/prometheus/client_golang/prometheus"

// metrics are the gate's own.
type metrics struct {
	open             prometheus.Gauge
	openedByDeadline prometheus.Counter
	syncDuration     prometheus.Gauge
	missing, foreign *prometheus.GaugeVec
	listErrors       *prometheus.CounterVec
	measured         *measured
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
		foreign: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ksmscale_gate_foreign_objects",
			Help: "Number of objects that kube-state-metrics exposes although they belong to other shards. Above 0 the gate stays shut.",
		}, []string{"resource"}),
		listErrors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ksmscale_gate_list_errors_total",
			Help: "Number of lists of a resource that the API server answered with an error other than a refusal, or did not answer.",
		}, []string{"resource"}),
		measured: newMeasured(),
	}
	registry.MustRegister(m.open, m.openedByDeadline, m.syncDuration, m.missing, m.foreign, m.listErrors, m.measured)
	return m
}

// setObjects sets how many objects of each resource are missing, and foreign.
func (m *metrics) setObjects(check *check) {
	missing, foreign := check.missing(), check.foreign()
	for _, of := range check.listings {
		m.missing.WithLabelValues(of.name).Set(float64(missing[of.name]))
		m.foreign.WithLabelValues(of.name).Set(float64(foreign[of.name]))
	}
}
