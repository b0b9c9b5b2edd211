package changes

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/controller/partition"
	"github.com/example/ksmscale/plans"
	"github.com/example/ksmscale/plugin/printer"
	"github.com/example/ksmscale/scaling"
	"github.com/example/ksmscale/sizing"
)

// Kind tells changes apart by what they cost.
type Kind string

// The kinds of changes.
const (
	// Create creates the first shards.
	Create Kind = "Create"
	// Scaling adds or removes replicas. No object moves to another shard.
	Scaling Kind = "Scaling"
	// Rollout replaces each pod, one shard after the other.
	Rollout Kind = "Rollout"
	// Reshard creates another partition, and then deletes the one of now.
	Reshard Kind = "Reshard"
)

// Change is one change, and what it costs.
type Change struct {
	Kind Kind `json:"kind"`
	// Detail names what changes.
	Detail string `json:"detail"`
	// PodsNow, PodsAtMost and PodsAfterwards count pods of the KSMScale. Each of the started pods lists the whole cluster once.
	PodsNow        int64 `json:"podsNow"`
	PodsStarted    int64 `json:"podsStarted"`
	PodsAtMost     int64 `json:"podsAtMost"`
	PodsAfterwards int64 `json:"podsAfterwards"`
	// EstimatedSeconds is how long it takes; 0 if it is not known, for the reason TimeUnknown.
	EstimatedSeconds int64  `json:"estimatedSeconds,omitempty"`
	TimeUnknown      string `json:"timeUnknown,omitempty"`
	// SeriesExportedTwice is how many series two partitions export meanwhile. Prometheus stores each once with the shipped jobs.
	SeriesExportedTwice int64 `json:"seriesExportedTwice,omitempty"`
	// SeriesPerShard and MemoryPerPodBytes are estimates of a shard afterwards; 0 if they are not known.
	SeriesPerShard    int64 `json:"seriesPerShard,omitempty"`
	MemoryPerPodBytes int64 `json:"memoryPerPodBytes,omitempty"`
}

// To returns what has to change in a snapshot for a plan. live is the plan of the KSMScale in the cluster, or nil.
func To(live *plans.Planned, planned plans.Planned, snapshot observation.Snapshot) []Change {
	estimated := estimateOf(planned.KSMScale)
	targets := partition.Targets(planned, snapshot)
	var podsNow, started int64
	for _, pod := range snapshot.Pods {
		if !observation.IsActive(&pod) {
			continue
		}
		podsNow++
		if shard, isShard := v1alpha1.ShardOf(pod.Labels); isShard && shard.Total == planned.Total {
			started++
		}
	}
	others := observation.Partitions(snapshot.Deployments).Delete(planned.Total)
	switch {
	case len(snapshot.Deployments) == 0:
		return []Change{creation(planned, estimated)}
	case others.Len() > 0:
		return []Change{reshard(planned, others.UnsortedList(), podsNow, started, estimated)}
	}
	var changes []Change
	if one, rolls := rollout(live, targets, &snapshot, podsNow, estimated); rolls {
		changes = append(changes, one)
	}
	if one, scales := scalingOf(targets, &snapshot, podsNow, estimated); scales {
		changes = append(changes, one)
	}
	return changes
}

func creation(planned plans.Planned, estimated estimate) Change {
	return Change{
		Kind: Create, Detail: printer.Plural(planned.Total, "shard"),
		PodsStarted: planned.Desired, PodsAtMost: planned.Desired, PodsAfterwards: planned.Desired,
		EstimatedSeconds: estimated.seconds(estimated.load(planned.Total) + estimated.scaled(planned.Shards, func(scaling.Shard) int32 { return 1 })),
		TimeUnknown:      estimated.unknown(),
		SeriesPerShard:   estimated.seriesPerShard(planned.Total), MemoryPerPodBytes: estimated.memory(planned.Total),
	}
}

// reshard creates the shards one after the other, adds their replicas, and waits for scrapes (package partition). Some pods of the new
// shards may have been started already.
func reshard(planned plans.Planned, others []int32, podsNow, started int64, estimated estimate) Change {
	slices.Sort(others)
	left := max(planned.Desired-started, 0)
	took := time.Duration(planned.Total)*estimated.load(planned.Total) +
		estimated.scaled(planned.Shards, func(scaling.Shard) int32 { return 1 }) +
		2*planned.KSMScale.Spec.ScrapeInterval() + 2*partition.DiscoveryDelay
	one := Change{
		Kind: Reshard, Detail: fmt.Sprintf("%s shards become %d", joined(others), planned.Total),
		PodsNow: podsNow, PodsStarted: left, PodsAtMost: podsNow + left, PodsAfterwards: planned.Desired,
		EstimatedSeconds: estimated.seconds(took), TimeUnknown: estimated.unknown(), SeriesExportedTwice: estimated.series,
		SeriesPerShard: estimated.seriesPerShard(planned.Total), MemoryPerPodBytes: estimated.memory(planned.Total),
	}
	if started > 0 {
		one.EstimatedSeconds, one.TimeUnknown = 0, fmt.Sprintf("under way: `kubectl ksmscale status %s` prints what it waits for", planned.KSMScale.Name)
	}
	return one
}

func joined(totals []int32) string {
	return strings.Join(strings.Fields(strings.Trim(fmt.Sprint(totals), "[]")), " and ")
}

// rollout reports the shards whose pods are replaced: all if the pod template changes with the spec, and else those whose rollout is
// under way or waits for its turn.
func rollout(live *plans.Planned, planned plans.Planned, snapshot *observation.Snapshot, podsNow int64, estimated estimate) (Change, bool) {
	var took time.Duration
	var names []string
	var replaced, afterwards int64
	for _, shard := range planned.Shards {
		deployment := snapshot.Deployment(shard.Shard)
		if deployment == nil {
			continue
		}
		replicas := int64(observation.ReplicasOf(deployment))
		afterwards += replicas
		underWay := observation.IsUnobserved(*deployment) || observation.IsRollingOut(*deployment)
		switch {
		case live != nil && hasOtherTemplate(live, planned, shard):
		case underWay:
			replicas -= int64(deployment.Status.UpdatedReplicas)
		default:
			continue
		}
		names = append(names, fmt.Sprint(shard.ID))
		replaced += replicas
		took += time.Duration(replicas) * (estimated.load(planned.Total) + planned.KSMScale.Spec.ScrapeInterval())
	}
	progressing := meta.FindStatusCondition(planned.KSMScale.Status.Conditions, v1alpha1.ConditionProgressing)
	detail := "shard " + strings.Join(names, ", ")
	switch {
	case len(names) == 0 && progressing != nil && progressing.Reason == v1alpha1.ReasonRollingOut:
		return Change{Kind: Rollout, Detail: progressing.Message, PodsNow: podsNow, PodsAtMost: max(podsNow, afterwards+1), PodsAfterwards: afterwards, TimeUnknown: "waits for its turn"}, true
	case len(names) == 0:
		return Change{}, false
	case len(names) > 1:
		detail = "shards " + strings.Join(names, ", ") + ", one after the other"
	}
	return Change{
		Kind: Rollout, Detail: detail,
		PodsNow: podsNow, PodsStarted: replaced, PodsAtMost: max(podsNow, afterwards+1), PodsAfterwards: afterwards,
		EstimatedSeconds: estimated.seconds(took), TimeUnknown: estimated.unknown(),
	}, true
}

// hasOtherTemplate reports whether a changed spec has other pods of a shard. The options of gates are the same before and after. Each
// plan has a shard of its own, because spec.sharding.replicationStrategy and the nodes decide how pods spread over zones.
func hasOtherTemplate(before *plans.Planned, planned plans.Planned, after scaling.Shard) bool {
	template := func(ksmScale *v1alpha1.KSMScale, shard scaling.Shard) any {
		return objects.Deployment(ksmScale, shard, objects.GateOptions{}).Spec.Template
	}
	current := scaling.NewPartition(before.KSMScale, before.Cluster, planned.Total).Shards[after.ID]
	return !equality.Semantic.DeepEqual(template(before.KSMScale, current), template(planned.KSMScale, after))
}

// scalingOf reports the shards whose replicas change.
func scalingOf(planned plans.Planned, snapshot *observation.Snapshot, podsNow int64, estimated estimate) (Change, bool) {
	current := func(shard scaling.Shard) int32 {
		if deployment := snapshot.Deployment(shard.Shard); deployment != nil {
			return observation.ReplicasOf(deployment)
		}
		return 0
	}
	one := Change{Kind: Scaling, PodsNow: podsNow, PodsAtMost: podsNow, PodsAfterwards: podsNow}
	var details []string
	var loads time.Duration
	for _, shard := range planned.Shards {
		by := int64(shard.Replicas - current(shard))
		if by == 0 {
			continue
		}
		details = append(details, fmt.Sprintf("shard %d from %d to %d", shard.ID, current(shard), shard.Replicas))
		one.PodsAfterwards += by
		if by > 0 {
			one.PodsStarted += by
			one.PodsAtMost += by
			loads = estimated.load(planned.Total)
		}
	}
	one.Detail = strings.Join(details, ", ")
	one.EstimatedSeconds, one.TimeUnknown = estimated.seconds(estimated.paced(planned.Shards, current)+loads), estimated.unknown()
	if planned.KSMScale.Spec.AutoscalingMode() == v1alpha1.ModeNone {
		one.EstimatedSeconds, one.TimeUnknown = 0, "not known, because spec.autoscaling.mode is None"
	}
	return one, len(details) > 0
}

// podStart is how long a pod takes from its creation until its containers run, without pulling an image.
const podStart = 5 * time.Second

// estimate estimates times and sizes from the series of all shards, as of the last recommendation.
type estimate struct {
	spec       *v1alpha1.KSMScaleSpec
	series     int64
	cores      float64
	version    string
	formula    sizing.Formula
	hasFormula bool
}

func estimateOf(ksmScale *v1alpha1.KSMScale) estimate {
	estimated := estimate{spec: &ksmScale.Spec, cores: 1, version: objects.ImageVersion(ksmScale.Spec.MonitorImage)}
	if recommendation := ksmScale.Status.Recommendation; recommendation != nil {
		estimated.series = recommendation.Series
	}
	estimated.formula, estimated.hasFormula = sizing.FormulaFor(estimated.version)
	requests := objects.MonitorResources(ksmScale).Requests
	if cpu, set := requests[corev1.ResourceCPU]; set && !cpu.IsZero() {
		// No more CPU than it requests may be left for it.
		estimated.cores = cpu.AsApproximateFloat64()
	}
	return estimated
}

// known reports whether there is a base for times.
func (e estimate) known() bool { return e.series > 0 && e.hasFormula }

// unknown is why there is no base for times; empty if there is one.
func (e estimate) unknown() string {
	switch {
	case e.known():
		return ""
	case e.hasFormula:
		return "not known until the gates have measured the shards"
	case e.version == "":
		return "not known, because the image has no known version of kube-state-metrics"
	default:
		return "not known for kube-state-metrics " + e.version
	}
}

// seconds are the whole seconds of a time; 0 if there is no base for it.
func (e estimate) seconds(took time.Duration) int64 {
	if !e.known() {
		return 0
	}
	return int64(took.Round(time.Second).Seconds())
}

// load is how long a new pod takes until it is ready.
func (e estimate) load(total int32) time.Duration {
	return podStart + time.Duration(e.formula.LoadSeconds(e.seriesPerShard(total), e.series)/e.cores*float64(time.Second))
}

func (e estimate) seriesPerShard(total int32) int64 {
	return (e.series + int64(total) - 1) / int64(max(total, 1))
}

// memory is the resident memory of a pod's kube-state-metrics in bytes.
func (e estimate) memory(total int32) int64 {
	if !e.known() {
		return 0
	}
	return e.formula.Memory(e.seriesPerShard(total), e.series)
}

// scaled is how long shards take from some replicas to their desired replicas, until all pods are ready.
func (e estimate) scaled(shards []scaling.Shard, from func(scaling.Shard) int32) time.Duration {
	took := e.paced(shards, from)
	if took == 0 {
		return 0
	}
	return took + e.load(int32(len(shards)))
}

// paced is how long it takes until the replicas of shards are set, by the behavior of the spec.
func (e estimate) paced(shards []scaling.Shard, from func(scaling.Shard) int32) time.Duration {
	var longest time.Duration
	pace := scaling.NewPace(e.spec)
	for _, shard := range shards {
		longest = max(longest, pacedTo(pace, max(from(shard), 1), shard.Replicas))
	}
	if longest > 0 && e.spec.AutoscalingMode() == v1alpha1.ModeHorizontalPodAutoscaler {
		longest = max(longest, scaling.AutoscalerSyncPeriod)
	}
	return longest
}

// pacedTo follows a pace from one number of replicas to another. It returns the time of the last step, and at least a nanosecond for a
// step at once.
func pacedTo(pace scaling.Pace, current, desired int32) time.Duration {
	if current == desired {
		return 0
	}
	var history scaling.History
	began := time.Unix(0, 0)
	for now := began; ; {
		history.Recommend(pace, current, desired, now)
		next, wait := pace.Next(&history, current, now)
		if next != current {
			history.Scaled(current, next, now)
			current = next
		}
		if current == desired || wait <= 0 {
			return max(now.Sub(began), 1)
		}
		now = now.Add(wait)
	}
}
