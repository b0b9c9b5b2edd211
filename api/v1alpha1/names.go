package v1alpha1

import (
	"fmt"
	"strconv"
	"time"
)

// Labels of the objects and pods of a shard. LabelKSMScale, LabelShardID and LabelTotalShards together name one
// shard of one partition and make up every selector.
const (
	// LabelKSMScale has the name of the KSMScale.
	LabelKSMScale = "ksmscale.example.com"
	// LabelShardID has the number of the shard, from 0.
	LabelShardID = "shard-id"
	// LabelTotalShards has the number of shards that the objects are divided among.
	LabelTotalShards = "total-shards"
	// LabelShardingEnabled is "true" or "false", as spec.sharding.enabled.
	LabelShardingEnabled = "sharding-enabled"
	// LabelRetired is "true" on the Services of shards that others have taken over from: they are not to be scraped any
	// more, and are deleted once Prometheus has noticed.
	LabelRetired = "ksmscale.example.com/retired"
	// AnnotationShardAssignment says which shard a pod is, for people.
	AnnotationShardAssignment = "ksmscale.example.com/shard-assignment"
	// AnnotationWebConfig has how kube-state-metrics serves, and becomes a file in the pod.
	AnnotationWebConfig = "ksmscale.example.com/web-config"
)

// Jobs of Prometheus, which rules and dashboards name.
const (
	// JobMetrics has the metrics of the cluster's objects.
	JobMetrics = "kube-state-metrics"
	// JobPods has what kube-state-metrics and the gates say of themselves.
	JobPods = "kube-state-metrics-pods"
)

// Ports of a kube-state-metrics pod and of its shard's Service.
const (
	// PortNameMetrics is the port with the metrics of the cluster's objects.
	PortNameMetrics = "http-metrics"
	// PortMetrics is the number of PortNameMetrics.
	PortMetrics int32 = 8080
	// PortNameTelemetry is the port with the metrics of kube-state-metrics itself.
	PortNameTelemetry = "telemetry"
	// PortTelemetry is the number of PortNameTelemetry.
	PortTelemetry int32 = 8081
	// PortNameGate is the port of the gate, with its own metrics, and the readiness of kube-state-metrics.
	PortNameGate = "gate"
	// PortGate is the number of PortNameGate.
	PortGate int32 = 8082
)

// External metrics, served in the namespace of a KSMScale, and their labels.
const (
	// MetricPrefix begins the name of each of them, and of none that another server of external metrics has.
	MetricPrefix = "ksmscale_"
	// MetricDesiredReplicas is the number of replicas wanted of a shard. Its labels are MetricLabelKSMScale,
	// MetricLabelShard and MetricLabelTotalShards.
	MetricDesiredReplicas = "ksmscale_desired_replicas"
	// MetricNodes is the number of nodes counted. Its label is MetricLabelKSMScale.
	MetricNodes = "ksmscale_nodes"
	// MetricRecommendedShards is the recommended number of shards. Its label is MetricLabelKSMScale.
	MetricRecommendedShards = "ksmscale_recommended_shards"
	// MetricSeries is the number of series at the last change of the recommendation. Its label is MetricLabelKSMScale.
	MetricSeries = "ksmscale_series"

	// MetricLabelKSMScale has the name of the KSMScale.
	MetricLabelKSMScale = "ksmscale"
	// MetricLabelShard has the number of the shard, from 0.
	MetricLabelShard = "shard"
	// MetricLabelTotalShards has the number of shards that the objects are divided among.
	MetricLabelTotalShards = "total_shards"
)

// Shard names one shard of a KSMScale. The total is part of the name because two partitions of the objects can
// exist side by side.
//
// +kubebuilder:object:generate=false
type Shard struct {
	// KSMScale is the name of the KSMScale.
	KSMScale string
	// ID is the number of the shard, from 0 to Total-1.
	ID int32
	// Total is the number of shards that the objects are divided among; 1 without sharding.
	Total int32
}

// Name is the name that all objects of the shard share.
func (s Shard) Name() string {
	return fmt.Sprintf("%s%d-of-%d", ShardNamePrefix(s.KSMScale), s.ID, s.Total)
}

// ShardNamePrefix is how the names of all shards of a KSMScale begin.
func ShardNamePrefix(ksmScale string) string { return "ksm-" + ksmScale + "-shard-" }

// Selector is the labels that every selector of the shard's pods has.
func (s Shard) Selector() map[string]string {
	return map[string]string{
		LabelKSMScale:    s.KSMScale,
		LabelShardID:     strconv.Itoa(int(s.ID)),
		LabelTotalShards: strconv.Itoa(int(s.Total)),
	}
}

// MetricLabels is the labels of the shard's MetricDesiredReplicas.
func (s Shard) MetricLabels() map[string]string {
	return map[string]string{
		MetricLabelKSMScale:    s.KSMScale,
		MetricLabelShard:       strconv.Itoa(int(s.ID)),
		MetricLabelTotalShards: strconv.Itoa(int(s.Total)),
	}
}

// ServiceAccountName is the name of the service account that the pods of a KSMScale run under, and of its
// ClusterRoleBinding.
func ServiceAccountName(ksmScale string) string { return "ksm-" + ksmScale }

// TotalShards is the desired number of shards; 1 without sharding. With spec.sharding.auto the status has it, and until then it is
// spec.sharding.shardCount.
func (k *KSMScale) TotalShards() int32 {
	sharding := k.Spec.Sharding
	switch {
	case sharding == nil || !sharding.Enabled:
		return 1
	case k.Spec.AutoSharding() != nil && k.Status.ShardingStatus != nil && k.Status.ShardingStatus.TotalShards > 1:
		return k.Status.ShardingStatus.TotalShards
	default:
		return sharding.ShardCount
	}
}

// AutoSharding is spec.sharding.auto, if sharding is enabled, or nil.
func (s *KSMScaleSpec) AutoSharding() *AutoSharding {
	if s.Sharding == nil || !s.Sharding.Enabled {
		return nil
	}
	return s.Sharding.Auto
}

// AutoscalingMode is who sets the replicas of the shards.
func (s *KSMScaleSpec) AutoscalingMode() AutoscalingMode {
	if s.Autoscaling == nil || s.Autoscaling.Mode == "" {
		return ModeHorizontalPodAutoscaler
	}
	return s.Autoscaling.Mode
}

// Strategy is how the wanted replicas are divided among the shards.
func (s *KSMScaleSpec) Strategy() ReplicationStrategy {
	if s.Sharding == nil || s.Sharding.ReplicationStrategy == "" {
		return RoundRobin
	}
	return s.Sharding.ReplicationStrategy
}

// defaultScrapeInterval is that of spec.monitoring.interval.
const defaultScrapeInterval = 30 * time.Second

// ScrapeInterval is the longest time between two scrapes of a shard.
func (s *KSMScaleSpec) ScrapeInterval() time.Duration {
	if s.Monitoring.Interval.Duration <= 0 {
		return defaultScrapeInterval
	}
	return s.Monitoring.Interval.Duration
}
