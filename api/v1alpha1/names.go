package v1alpha1

import (
	"fmt"
	"strconv"
	"time"
)

// Labels of the objects and pods of a shard. LabelKSMScale, LabelShardID and LabelTotalShards together identify a shard
// of a partition. Every selector consists of these three.
const (
	// LabelKSMScale is the name of the KSMScale.
	LabelKSMScale = "ksmscale.example.com"
	// LabelShardID is the number of the shard, from 0.
	LabelShardID = "shard-id"
	// LabelTotalShards is the number of shards of the partition.
	LabelTotalShards = "total-shards"
	// LabelShardingEnabled is "true" or "false", as spec.sharding.enabled.
	LabelShardingEnabled = "sharding-enabled"
	// LabelRetired is "true" on retired Services. Prometheus stops scraping a retired Service. The controller deletes it
	// afterwards.
	LabelRetired = "ksmscale.example.com/retired"
	// AnnotationShardAssignment describes the shard of a pod, for people.
	AnnotationShardAssignment = "ksmscale.example.com/shard-assignment"
	// AnnotationWebConfig is the web configuration of kube-state-metrics. A volume makes it a file in the pod.
	AnnotationWebConfig = "ksmscale.example.com/web-config"
)

// ControllerLeaseName is the name of the Lease by which controllers elect a leader, in the namespace of the controller.
const ControllerLeaseName = "ksmscale-controller"

// Jobs of Prometheus, which rules and dashboards name.
const (
	// JobMetrics has the metrics of the objects of the cluster.
	JobMetrics = "kube-state-metrics"
	// JobPods has the metrics that kube-state-metrics and the gates have about themselves.
	JobPods = "kube-state-metrics-pods"
)

// Ports of a kube-state-metrics pod and of the Service of its shard.
const (
	// PortNameMetrics is the port with the metrics of the objects of the cluster.
	PortNameMetrics = "http-metrics"
	// PortMetrics is the number of PortNameMetrics.
	PortMetrics int32 = 8080
	// PortNameTelemetry is the port with the metrics of kube-state-metrics itself.
	PortNameTelemetry = "telemetry"
	// PortTelemetry is the number of PortNameTelemetry.
	PortTelemetry int32 = 8081
	// PortNameGate is the port of the gate, with its own metrics and the readiness of kube-state-metrics.
	PortNameGate = "gate"
	// PortGate is the number of PortNameGate.
	PortGate int32 = 8082
)

// External metrics, served in the namespace of a KSMScale, and their labels.
const (
	// MetricPrefix begins the name of each external metric of KSMScale. Other servers of external metrics have no metric
	// with it.
	MetricPrefix = "ksmscale_"
	// MetricDesiredReplicas is the number of desired replicas of a shard. Its labels are MetricLabelKSMScale,
	// MetricLabelShard and MetricLabelTotalShards.
	MetricDesiredReplicas = "ksmscale_desired_replicas"
	// MetricNodes is the number of counted nodes. Its label is MetricLabelKSMScale.
	MetricNodes = "ksmscale_nodes"
	// MetricRecommendedShards is the recommended number of shards. Its label is MetricLabelKSMScale.
	MetricRecommendedShards = "ksmscale_recommended_shards"
	// MetricSeries is the number of series at the last change of the recommendation. Its label is MetricLabelKSMScale.
	MetricSeries = "ksmscale_series"

	// MetricLabelKSMScale is the name of the KSMScale.
	MetricLabelKSMScale = "ksmscale"
	// MetricLabelShard is the number of the shard, from 0.
	MetricLabelShard = "shard"
	// MetricLabelTotalShards is the number of shards of the partition.
	MetricLabelTotalShards = "total_shards"
)

// Shard identifies one shard of a KSMScale. The total is part of it because two partitions can exist at the same time.
//
// +kubebuilder:object:generate=false
type Shard struct {
	// KSMScale is the name of the KSMScale.
	KSMScale string
	// ID is the number of the shard, from 0 to Total-1.
	ID int32
	// Total is the number of shards of the partition; 1 without sharding.
	Total int32
}

// Name is the common name of all objects of the shard.
func (s Shard) Name() string {
	return fmt.Sprintf("%s%d-of-%d", ShardNamePrefix(s.KSMScale), s.ID, s.Total)
}

// ShardNamePrefix begins the names of all shards of a KSMScale.
func ShardNamePrefix(ksmScale string) string { return "ksm-" + ksmScale + "-shard-" }

// Selector has the labels of every selector of the pods of the shard.
func (s Shard) Selector() map[string]string {
	return map[string]string{
		LabelKSMScale:    s.KSMScale,
		LabelShardID:     strconv.Itoa(int(s.ID)),
		LabelTotalShards: strconv.Itoa(int(s.Total)),
	}
}

// ShardOf returns the shard that the labels of an object name.
func ShardOf(labels map[string]string) (Shard, bool) {
	id, err := strconv.ParseInt(labels[LabelShardID], 10, 32)
	total, ok := PartitionOf(labels)
	return Shard{KSMScale: labels[LabelKSMScale], ID: int32(id), Total: total}, err == nil && ok && id >= 0 && id < int64(total)
}

// PartitionOf returns the total number of shards that the labels of an object name. It is false for labels that no partition has.
func PartitionOf(labels map[string]string) (int32, bool) {
	total, err := strconv.ParseInt(labels[LabelTotalShards], 10, 32)
	return int32(total), err == nil && total >= 1 && total <= mostShards
}

// mostShards is the maximum of spec.sharding.auto.maxShards.
const mostShards = 64

// MetricLabels are the labels of the shard's MetricDesiredReplicas.
func (s Shard) MetricLabels() map[string]string {
	return map[string]string{
		MetricLabelKSMScale:    s.KSMScale,
		MetricLabelShard:       strconv.Itoa(int(s.ID)),
		MetricLabelTotalShards: strconv.Itoa(int(s.Total)),
	}
}

// ServiceAccountName is the name of the service account of the pods of a KSMScale, and of its ClusterRoleBinding.
func ServiceAccountName(ksmScale string) string { return "ksm-" + ksmScale }

// TotalShards is the desired number of shards; 1 without sharding. With spec.sharding.auto it is the number in the
// status, or spec.sharding.shardCount if the status has none.
func (k *KSMScale) TotalShards() int32 {
	sharding := k.Spec.Sharding
	switch {
	case sharding == nil || !sharding.Enabled:
		return 1
	case k.Spec.AutoSharding() != nil && k.Status.TotalShards() > 1:
		return k.Status.TotalShards()
	default:
		return sharding.ShardCount
	}
}

// TotalShards is the number of shards in the status; 0 if the status has none.
func (s *KSMScaleStatus) TotalShards() int32 {
	if s.ShardingStatus == nil {
		return 0
	}
	return s.ShardingStatus.TotalShards
}

// SetTotalShards sets the number of shards in the status.
func (s *KSMScaleStatus) SetTotalShards(total int32) {
	if s.ShardingStatus == nil {
		s.ShardingStatus = &ShardingStatus{}
	}
	s.ShardingStatus.TotalShards = total
}

// AutoSharding is spec.sharding.auto if sharding is enabled, and nil otherwise.
func (s *KSMScaleSpec) AutoSharding() *AutoSharding {
	if s.Sharding == nil || !s.Sharding.Enabled {
		return nil
	}
	return s.Sharding.Auto
}

// AutoscalingMode is spec.autoscaling.mode or its default.
func (s *KSMScaleSpec) AutoscalingMode() AutoscalingMode {
	if s.Autoscaling == nil || s.Autoscaling.Mode == "" {
		return ModeHorizontalPodAutoscaler
	}
	return s.Autoscaling.Mode
}

// Strategy is spec.sharding.replicationStrategy or its default.
func (s *KSMScaleSpec) Strategy() ReplicationStrategy {
	if s.Sharding == nil || s.Sharding.ReplicationStrategy == "" {
		return RoundRobin
	}
	return s.Sharding.ReplicationStrategy
}

// defaultScrapeInterval is the default of spec.monitoring.interval.
const defaultScrapeInterval = 30 * time.Second

// ScrapeInterval is spec.monitoring.interval or its default.
func (s *KSMScaleSpec) ScrapeInterval() time.Duration {
	if s.Monitoring.Interval.Duration <= 0 {
		return defaultScrapeInterval
	}
	return s.Monitoring.Interval.Duration
}
