package plans

import (
	"context"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/example/ksmscale/api/v1alpha1"
)

var (
	configuredShards = prometheus.NewDesc("ksmscale_configured_shards",
		"Number of shards that a KSMScale is configured to have.",
		[]string{v1alpha1.MetricLabelKSMScale}, nil)
	desiredReplicas = prometheus.NewDesc(v1alpha1.MetricDesiredReplicas,
		"Number of desired replicas of a shard.",
		[]string{v1alpha1.MetricLabelKSMScale, v1alpha1.MetricLabelShard, v1alpha1.MetricLabelTotalShards}, nil)
	countedNodes = prometheus.NewDesc(v1alpha1.MetricNodes,
		"Number of nodes counted for a KSMScale.",
		[]string{v1alpha1.MetricLabelKSMScale}, nil)
	lastNodeEvent = prometheus.NewDesc("ksmscale_last_node_event_timestamp_seconds",
		"Unix time of the last event about any node, heartbeats included; 0 before the first.",
		nil, nil)
)

// Collector exports the plans of a Source. It reads them at each scrape, so a deleted KSMScale leaves no series.
type Collector struct {
	Source *Source
}

var _ prometheus.Collector = Collector{}

// Describe is part of prometheus.Collector.
func (c Collector) Describe(descriptions chan<- *prometheus.Desc) {
	for _, description := range []*prometheus.Desc{configuredShards, desiredReplicas, countedNodes, lastNodeEvent} {
		descriptions <- description
	}
}

// Collect is part of prometheus.Collector. It exports no plans until all nodes have been counted, because wrong plans are
// worse than missing ones.
func (c Collector) Collect(metrics chan<- prometheus.Metric) {
	var seconds float64
	if asOf := c.Source.nodes.AsOf(); !asOf.IsZero() {
		seconds = float64(asOf.UnixMilli()) / 1000
	}
	metrics <- prometheus.MustNewConstMetric(lastNodeEvent, prometheus.GaugeValue, seconds)

	all, err := c.Source.All(context.Background())
	if err != nil {
		return
	}
	for _, planned := range all {
		name := planned.KSMScale.Name
		metrics <- prometheus.MustNewConstMetric(configuredShards, prometheus.GaugeValue, float64(planned.KSMScale.TotalShards()), name)
		metrics <- prometheus.MustNewConstMetric(countedNodes, prometheus.GaugeValue, float64(planned.Cluster.Nodes), name)
		for _, shard := range planned.AllShards() {
			metrics <- prometheus.MustNewConstMetric(desiredReplicas, prometheus.GaugeValue, float64(shard.Replicas),
				name, strconv.Itoa(int(shard.ID)), strconv.Itoa(int(shard.Total)))
		}
	}
}
