package metrics

import (
	"context"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/completeness"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/measurements"
)

// Collector exports the mode, the conditions and the shards of each KSMScale. It reads them at each scrape, so the metrics of a deleted
// KSMScale disappear.
type Collector struct {
	KSMScales client.Reader
	// Synced reports whether the cache has the KSMScales.
	Synced func() bool
	// Completeness returns what the partition of a total exports.
	Completeness func(ksmScale string, total int32) completeness.Result
}

var _ prometheus.Collector = Collector{}

// Describe is part of prometheus.Collector.
func (c Collector) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- readyReplicas
	descriptions <- shardCovered
	descriptions <- statusCondition
	descriptions <- autoscalingMode
	descriptions <- recommendedShards
	descriptions <- recommendedMemory
	descriptions <- recommendedCPU
	descriptions <- memoryRequest
	descriptions <- autoShardingEnabled
	descriptions <- autoResourcesEnabled
	descriptions <- missingObjects
	descriptions <- foreignObjects
}

// Collect is part of prometheus.Collector.
func (c Collector) Collect(metrics chan<- prometheus.Metric) {
	if !c.Synced() {
		return
	}
	var list v1alpha1.KSMScaleList
	if err := c.KSMScales.List(context.Background(), &list, client.UnsafeDisableDeepCopy); err != nil {
		metrics <- prometheus.NewInvalidMetric(readyReplicas, err)
		return
	}
	for i := range list.Items {
		collectMode(&list.Items[i], metrics)
		collectConditions(&list.Items[i], metrics)
		collectShards(&list.Items[i], metrics)
		collectRecommendation(&list.Items[i], metrics)
		collectSize(&list.Items[i], metrics)
		c.collectCompleteness(&list.Items[i], metrics)
	}
}

// collectRecommendation exports the figures that a recommendation has.
func collectRecommendation(ksmScale *v1alpha1.KSMScale, metrics chan<- prometheus.Metric) {
	recommendation := ksmScale.Status.Recommendation
	if recommendation == nil {
		return
	}
	metrics <- prometheus.MustNewConstMetric(recommendedShards, prometheus.GaugeValue, float64(recommendation.Shards), ksmScale.Name)
	if memory := recommendation.MemoryRequest; memory != nil {
		metrics <- prometheus.MustNewConstMetric(recommendedMemory, prometheus.GaugeValue, float64(memory.Value()), ksmScale.Name)
	}
	if cpu := recommendation.CPURequest; cpu != nil {
		metrics <- prometheus.MustNewConstMetric(recommendedCPU, prometheus.GaugeValue, cpu.AsApproximateFloat64(), ksmScale.Name)
	}
}

// collectSize exports the memory request of the containers, to compare it with the recommended request, and what follows the recommendation.
func collectSize(ksmScale *v1alpha1.KSMScale, metrics chan<- prometheus.Metric) {
	requests := objects.MonitorResources(ksmScale).Requests
	metrics <- prometheus.MustNewConstMetric(memoryRequest, prometheus.GaugeValue, float64(requests.Memory().Value()), ksmScale.Name)
	metrics <- prometheus.MustNewConstMetric(autoShardingEnabled, prometheus.GaugeValue, oneIf(ksmScale.Spec.AutoSharding() != nil), ksmScale.Name)
	metrics <- prometheus.MustNewConstMetric(autoResourcesEnabled, prometheus.GaugeValue, oneIf(ksmScale.Spec.AutoResources != nil), ksmScale.Name)
}

// collectCompleteness exports the missing and the foreign objects of each resource that the gates compare. Only the leader knows them.
func (c Collector) collectCompleteness(ksmScale *v1alpha1.KSMScale, metrics chan<- prometheus.Metric) {
	for name, missing := range c.Completeness(ksmScale.Name, ksmScale.TotalShards()).Resources {
		metrics <- prometheus.MustNewConstMetric(missingObjects, prometheus.GaugeValue, float64(missing.Objects), ksmScale.Name, name)
		metrics <- prometheus.MustNewConstMetric(foreignObjects, prometheus.GaugeValue, float64(missing.Foreign), ksmScale.Name, name)
	}
}

// collectMode exports the mode of a KSMScale.
func collectMode(ksmScale *v1alpha1.KSMScale, metrics chan<- prometheus.Metric) {
	for _, mode := range autoscalingModes {
		metrics <- prometheus.MustNewConstMetric(autoscalingMode, prometheus.GaugeValue, oneIf(ksmScale.Spec.AutoscalingMode() == mode),
			ksmScale.Name, string(mode))
	}
}

// collectConditions exports the conditions of a KSMScale.
func collectConditions(ksmScale *v1alpha1.KSMScale, metrics chan<- prometheus.Metric) {
	for _, condition := range ksmScale.Status.Conditions {
		for status, name := range conditionStatuses {
			metrics <- prometheus.MustNewConstMetric(statusCondition, prometheus.GaugeValue, oneIf(condition.Status == status),
				ksmScale.Name, condition.Type, name)
		}
	}
}

// collectShards exports the shards of a KSMScale.
func collectShards(ksmScale *v1alpha1.KSMScale, metrics chan<- prometheus.Metric) {
	sharding := ksmScale.Status.ShardingStatus
	if sharding == nil {
		return
	}
	covered := meta.IsStatusConditionTrue(ksmScale.Status.Conditions, v1alpha1.ConditionCovered)
	for shard, replicas := range sharding.ShardDistribution {
		labels := []string{ksmScale.Name, shard, strconv.Itoa(int(sharding.TotalShards))}
		metrics <- prometheus.MustNewConstMetric(readyReplicas, prometheus.GaugeValue, float64(replicas.Ready), labels...)
		metrics <- prometheus.MustNewConstMetric(shardCovered, prometheus.GaugeValue, oneIf(covered || replicas.Ready > 0), labels...)
	}
}

// oneIf is 1 if a condition holds, and 0 otherwise.
func oneIf(condition bool) float64 {
	if condition {
		return 1
	}
	return 0
}

var (
	shardMetricLabels = []string{v1alpha1.MetricLabelKSMScale, v1alpha1.MetricLabelShard, v1alpha1.MetricLabelTotalShards}

	readyReplicas = prometheus.NewDesc("ksmscale_ready_replicas",
		"Number of ready pods of a shard.", shardMetricLabels, nil)
	shardCovered = prometheus.NewDesc("ksmscale_shard_covered",
		"1 if a shard has a ready pod, or every shard of a previous partition has one; 0 if its objects are missing from the metrics.", shardMetricLabels, nil)
	statusCondition = prometheus.NewDesc("ksmscale_status_condition",
		"The conditions of a KSMScale: 1 for the current status of each, 0 for the others.",
		[]string{v1alpha1.MetricLabelKSMScale, "condition", "status"}, nil)
	autoscalingMode = prometheus.NewDesc("ksmscale_autoscaling_mode",
		"Who scales the shards of a KSMScale: 1 for the current mode, 0 for the others.",
		[]string{v1alpha1.MetricLabelKSMScale, "mode"}, nil)

	recommendedShards = prometheus.NewDesc(v1alpha1.MetricRecommendedShards,
		"Recommended number of shards of a KSMScale.", []string{v1alpha1.MetricLabelKSMScale}, nil)
	recommendedMemory = prometheus.NewDesc("ksmscale_recommended_memory_bytes",
		"Recommended memory request of a kube-state-metrics container of a KSMScale.", []string{v1alpha1.MetricLabelKSMScale}, nil)
	recommendedCPU = prometheus.NewDesc("ksmscale_recommended_cpu_cores",
		"Recommended CPU request of a kube-state-metrics container of a KSMScale.", []string{v1alpha1.MetricLabelKSMScale}, nil)
	memoryRequest = prometheus.NewDesc("ksmscale_memory_request_bytes",
		"Memory request of a kube-state-metrics container of a KSMScale; 0 if there is none.", []string{v1alpha1.MetricLabelKSMScale}, nil)
	autoShardingEnabled = prometheus.NewDesc("ksmscale_auto_sharding",
		"1 if the number of shards of a KSMScale follows the recommendation, 0 if not.", []string{v1alpha1.MetricLabelKSMScale}, nil)
	autoResourcesEnabled = prometheus.NewDesc("ksmscale_auto_resources",
		"1 if the requests of the kube-state-metrics containers of a KSMScale follow the recommendation, 0 if not.", []string{v1alpha1.MetricLabelKSMScale}, nil)

	missingObjects = prometheus.NewDesc("ksmscale_missing_objects",
		"At least how many objects of the cluster no shard of a KSMScale exports.", []string{v1alpha1.MetricLabelKSMScale, measurements.ResourceLabel}, nil)
	foreignObjects = prometheus.NewDesc("ksmscale_foreign_objects",
		"Number of objects that shards of a KSMScale expose although they belong to other shards.", []string{v1alpha1.MetricLabelKSMScale, measurements.ResourceLabel}, nil)

	autoscalingModes = []v1alpha1.AutoscalingMode{v1alpha1.ModeHorizontalPodAutoscaler, v1alpha1.ModeDirect, v1alpha1.ModeNone}

	// conditionStatuses has the statuses in the spelling of kube-state-metrics.
	conditionStatuses = map[metav1.ConditionStatus]string{
		metav1.ConditionTrue: "true", metav1.ConditionFalse: "false", metav1.ConditionUnknown: "unknown",
	}
)
