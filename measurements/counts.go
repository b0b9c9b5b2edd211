package measurements

import (
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/example/ksmscale/telemetry"
)

// Metrics of the gate about its last count of objects. They are absent before the first count, and while the gate is closed.
const (
	// CountTimestamp is the time of the round, which is the same for all gates that count at the same interval.
	CountTimestamp = "ksmscale_gate_count_timestamp_seconds"
	CountInterval  = "ksmscale_gate_count_interval_seconds"
	// ClusterObjects has the labels ResourceLabel and MomentLabel. ExposedObjects and ExposedForeignObjects have ResourceLabel.
	ClusterObjects        = "ksmscale_gate_cluster_objects"
	ExposedObjects        = "ksmscale_gate_exposed_objects"
	ExposedForeignObjects = "ksmscale_gate_exposed_foreign_objects"
	// Uncounted is 1 for each resource that the counts of this gate alone cannot compare. It has the labels ResourceLabel and ReasonLabel.
	Uncounted   = "ksmscale_gate_uncounted_resources"
	CountErrors = "ksmscale_gate_count_errors_total"

	// MomentLabel is MomentBefore for the count before the gate reads the exposition, and MomentAfter for the count after it.
	MomentLabel  = "moment"
	MomentBefore = "before"
	MomentAfter  = "after"
	// ReasonLabel is why a resource is not counted.
	ReasonLabel = "reason"
)

// Reasons why a resource cannot be compared by what a gate counts.
const (
	// UncountedForbidden means that kube-state-metrics may not list the resource, or that the cluster does not have it.
	UncountedForbidden = "not listable"
	// UncountedUnidentified means that the lists of metrics leave no family that has a series for each object, or that the
	// version does not have it.
	UncountedUnidentified = "no family for each object"
	// UncountedUnexposed means that the cluster has objects of the resource, and kube-state-metrics has exposed none since it
	// started. The shard may have none, or the version may not have the family. The counts are there all the same, because
	// the gates of other shards may tell.
	UncountedUnexposed = "no object exposed"
	// UncountedLimited means that kube-state-metrics leaves out objects above its object limit.
	UncountedLimited = "object limit"
)

// Counts are the numbers of objects that a gate has counted in one round.
type Counts struct {
	// RoundAt is when the round was due; zero if the gate has not counted.
	RoundAt time.Time
	// Interval is the time between two rounds.
	Interval time.Duration
	// Resources has the counts of each resource.
	Resources map[string]Count
	// Uncounted has the reason for each resource that this gate alone cannot compare.
	Uncounted map[string]string
}

// Count has the numbers of objects of one resource.
type Count struct {
	// Before and After are the objects of the cluster, before and after the gate read what kube-state-metrics exposes.
	Before, After int64
	// Exposed are the objects that kube-state-metrics exposes. Foreign of them belong to other shards. Only series with a UID
	// show that.
	Exposed, Foreign int64
}

// countsOf returns the counts in the metrics of a gate.
func countsOf(families telemetry.Families, value func(string) float64) Counts {
	counts := Counts{
		RoundAt:  timeOf(value(CountTimestamp)),
		Interval: time.Duration(value(CountInterval) * float64(time.Second)),
	}
	if counts.RoundAt.IsZero() {
		return Counts{}
	}
	counts.Resources, counts.Uncounted = map[string]Count{}, map[string]string{}
	change := func(name string, set func(count *Count, metric *dto.Metric)) {
		for _, metric := range families[name].GetMetric() {
			count := counts.Resources[labelOf(metric, ResourceLabel)]
			set(&count, metric)
			counts.Resources[labelOf(metric, ResourceLabel)] = count
		}
	}
	change(ClusterObjects, func(count *Count, metric *dto.Metric) {
		if labelOf(metric, MomentLabel) == MomentAfter {
			count.After = int64(valueOf(metric))
		} else {
			count.Before = int64(valueOf(metric))
		}
	})
	change(ExposedObjects, func(count *Count, metric *dto.Metric) { count.Exposed = int64(valueOf(metric)) })
	change(ExposedForeignObjects, func(count *Count, metric *dto.Metric) { count.Foreign = int64(valueOf(metric)) })
	for _, metric := range families[Uncounted].GetMetric() {
		counts.Uncounted[labelOf(metric, ResourceLabel)] = labelOf(metric, ReasonLabel)
	}
	return counts
}

// labelOf is the value of a label; empty if the metric does not have it.
func labelOf(metric *dto.Metric, name string) string {
	for _, label := range metric.GetLabel() {
		if label.GetName() == name {
			return label.GetValue()
		}
	}
	return ""
}
