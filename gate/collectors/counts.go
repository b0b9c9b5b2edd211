package collectors

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/example/ksmscale/measurements"
)

// Counts is a collector of the last round of counts. Before the first round, and while the gate is closed, it has no
// series.
type Counts struct {
	Failures prometheus.Counter

	mu     sync.Mutex
	counts measurements.Counts
}

// NewCounts returns a collector without counts.
func NewCounts() *Counts {
	return &Counts{Failures: prometheus.NewCounter(prometheus.CounterOpts{
		Name: measurements.CountErrors,
		Help: "Number of failed counts of objects.",
	})}
}

// Set replaces the counts; empty counts remove them.
func (c *Counts) Set(counts measurements.Counts) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts = counts
}

var (
	countTimestampDesc = gauge(measurements.CountTimestamp, "Time of the last round of counts, which all gates begin at the same time.")
	countIntervalDesc  = gauge(measurements.CountInterval, "Time between two rounds of counts.")
	clusterObjectsDesc = gauge(measurements.ClusterObjects, "Number of objects of the cluster, before and after the gate counted the exposed objects.", measurements.ResourceLabel, measurements.MomentLabel)
	exposedObjectsDesc = gauge(measurements.ExposedObjects, "Number of objects that kube-state-metrics exposed in the last round.", measurements.ResourceLabel)
	exposedForeignDesc = gauge(measurements.ExposedForeignObjects, "Number of these objects that belong to other shards.", measurements.ResourceLabel)
	uncountedDesc      = gauge(measurements.Uncounted, "1 for each resource that the counts of this gate alone cannot compare.", measurements.ResourceLabel, measurements.ReasonLabel)
)

// Describe sends the descriptions of all metrics.
func (c *Counts) Describe(descriptions chan<- *prometheus.Desc) {
	c.Failures.Describe(descriptions)
	for _, one := range []desc{countTimestampDesc, countIntervalDesc, clusterObjectsDesc, exposedObjectsDesc, exposedForeignDesc, uncountedDesc} {
		descriptions <- one.Desc
	}
}

// Collect sends the counts of the last round.
func (c *Counts) Collect(to chan<- prometheus.Metric) {
	c.mu.Lock()
	counts := c.counts
	c.mu.Unlock()
	c.Failures.Collect(to)
	if counts.RoundAt.IsZero() {
		return
	}
	to <- countTimestampDesc.of(measurements.Seconds(counts.RoundAt))
	to <- countIntervalDesc.of(counts.Interval.Seconds())
	for name, count := range counts.Resources {
		to <- clusterObjectsDesc.of(float64(count.Before), name, measurements.MomentBefore)
		to <- clusterObjectsDesc.of(float64(count.After), name, measurements.MomentAfter)
		to <- exposedObjectsDesc.of(float64(count.Exposed), name)
		to <- exposedForeignDesc.of(float64(count.Foreign), name)
	}
	for name, reason := range counts.Uncounted {
		to <- uncountedDesc.of(1, name, reason)
	}
}
