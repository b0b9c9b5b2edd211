package controller

import (
	"context"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
)

var (
	shardMetricLabels = []string{v1alpha1.MetricLabelKSMScale, v1alpha1.MetricLabelShard, v1alpha1.MetricLabelTotalShards}

	readyReplicas = prometheus.NewDesc("ksmscale_ready_replicas",
		"Number of ready pods of a shard.", shardMetricLabels, nil)
	shardCovered = prometheus.NewDesc("ksmscale_shard_covered",
		"1 if a shard has a ready pod, or all of the shards have that it will take over from; 0 if its objects are missing from the metrics.", shardMetricLabels, nil)
)

// collector exports what the status of each KSMScale says of its shards. It reads it when it is scraped, so that
// a deleted KSMScale leaves nothing behind.
type collector struct {
	ksmScales client.Reader
	// synced tells whether the KSMScales have been read; until then there is nothing to say of them.
	synced func() bool
}

var _ prometheus.Collector = collector{}

// Describe is part of prometheus.Collector.
func (c collector) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- readyReplicas
	descriptions <- shardCovered
}

// Collect is part of prometheus.Collector.
func (c collector) Collect(metrics chan<- prometheus.Metric) {
	if !c.synced() {
		return
	}
	var list v1alpha1.KSMScaleList
	if err := c.ksmScales.List(context.Background(), &list, client.UnsafeDisableDeepCopy); err != nil {
		metrics <- prometheus.NewInvalidMetric(readyReplicas, err)
		return
	}
	for _, ksmScale := range list.Items {
		sharding := ksmScale.Status.ShardingStatus
		if sharding == nil {
			continue
		}
		covered := meta.IsStatusConditionTrue(ksmScale.Status.Conditions, v1alpha1.ConditionCovered)
		for shard, replicas := range sharding.ShardDistribution {
			labels := []string{ksmScale.Name, shard, strconv.Itoa(int(sharding.TotalShards))}
			shardIsCovered := 0.0
			if covered || replicas.Ready > 0 {
				shardIsCovered = 1
			}
			metrics <- prometheus.MustNewConstMetric(readyReplicas, prometheus.GaugeValue, float64(replicas.Ready), labels...)
			metrics <- prometheus.MustNewConstMetric(shardCovered, prometheus.GaugeValue, shardIsCovered, labels...)
		}
	}
}
