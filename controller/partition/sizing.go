package partition

import (
	"cmp"
	"maps"
	"math"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/plans"
	"github.com/example/ksmscale/scaling"
	"github.com/example/ksmscale/sizing"
)

// SizingInput returns what the recommendation for a KSMScale depends on. With isNewLeader, the controller has become the leader a
// moment ago.
func SizingInput(planned plans.Planned, snapshot observation.Snapshot, isNewLeader bool) sizing.Input {
	ksmScale := planned.KSMScale
	serving := servingPartition(ksmScale, snapshot)
	_, maxReplicasPerShard := scaling.ReplicaBounds(ksmScale.Spec.Sharding)
	measured := firstMeasured(ksmScale, serving, snapshot)
	busy := serving != 0 && (isNewLeader || isBusy(snapshot))
	unobserved := slices.ContainsFunc(snapshot.Deployments, observation.IsUnobserved)
	return sizing.Input{
		Previous:    previousRecommendation(ksmScale, serving, snapshot, measured.Measured() && !busy && !unobserved),
		Figures:     measured,
		Bounds:      shardBounds(&ksmScale.Spec),
		Size:        sizeBounds(&ksmScale.Spec),
		ApplyShards: ksmScale.Spec.AutoSharding() != nil, ShardCount: planned.Total,
		Busy:       busy,
		Unobserved: unobserved,
		Nodes:      int32(min(planned.Cluster.Nodes, math.MaxInt32)), CalculatedReplicas: int32(min(planned.Calculated, math.MaxInt32)),
		MaxReplicasPerShard: maxReplicasPerShard,
	}
}

// servingPartition returns the number of shards of the partition that serves: the desired partition if it exists, or else the largest whole
// partition; 0 if there is none. It finds the number again if a status was lost.
func servingPartition(ksmScale *v1alpha1.KSMScale, snapshot observation.Snapshot) int32 {
	existing := observation.Partitions(snapshot.Deployments)
	if total := ksmScale.TotalShards(); ksmScale.Status.TotalShards() > 0 && existing.Has(total) {
		return total
	}
	totals := slices.Sorted(maps.Keys(worthKeeping(existing, snapshot.Deployments)))
	if len(totals) == 0 {
		return 0
	}
	return totals[len(totals)-1]
}

// firstMeasured returns the figures of the partition that serves, or of another whole one if only that was measured.
func firstMeasured(ksmScale *v1alpha1.KSMScale, serving int32, snapshot observation.Snapshot) sizing.Figures {
	ofServing := figures(ksmScale, serving, snapshot)
	if ofServing.Measured() {
		return ofServing
	}
	others := observation.Partitions(snapshot.Deployments).Delete(serving)
	for _, total := range slices.Sorted(maps.Keys(worthKeeping(others, snapshot.Deployments))) {
		if ofOther := figures(ksmScale, total, snapshot); ofOther.Measured() {
			return ofOther
		}
	}
	return ofServing
}

// isBusy reports whether a reshard or a rollout is under way, also while no shard of the rollout has its turn.
func isBusy(snapshot observation.Snapshot) bool {
	return observation.Partitions(snapshot.Deployments).Len() > 1 || slices.ContainsFunc(snapshot.Deployments, func(deployment appsv1.Deployment) bool {
		shard, _ := v1alpha1.ShardOf(deployment.Labels)
		// A pause may last for months.
		return !deployment.Spec.Paused && (snapshot.Outdated.Has(shard) || observation.IsRollingOut(deployment))
	})
}

// previousRecommendation is the recommendation in the status, or the requests in effect if that was lost. With spec.sharding.auto, its number
// of shards is the number in effect, or 0 while that is another one: spec.sharding.auto is new, or the KSMScale was unsharded. A number beyond
// the bounds counts while no other can be chosen, because it is brought within them at once.
func previousRecommendation(ksmScale *v1alpha1.KSMScale, serving int32, snapshot observation.Snapshot, canChoose bool) sizing.Recommendation {
	var previous sizing.Recommendation
	if recorded := ksmScale.Status.Recommendation; recorded != nil {
		previous = sizing.Recommendation{
			Shards: recorded.Shards, ReplicasPerShard: recorded.ReplicasPerShard, Basis: recorded.Message, ReplicaAdvice: recorded.ReplicaAdvice,
			MemoryRequestBytes: orZero(recorded.MemoryRequest).Value(), MemoryLimitBytes: orZero(recorded.MemoryLimit).Value(),
			MilliCPURequest: orZero(recorded.CPURequest).MilliValue(),
		}
	} else if ksmScale.Spec.AutoResources != nil {
		previous = requestsInEffect(ksmScale, serving, snapshot)
	}
	if ksmScale.Spec.AutoSharding() == nil {
		return previous
	}
	inEffect := ksmScale.Status.TotalShards()
	if inEffect == 0 {
		inEffect = serving
	}
	bounds := shardBounds(&ksmScale.Spec)
	isWithin := inEffect >= bounds.MinShards && inEffect <= bounds.MaxShards
	if inEffect == 1 || (isWithin || canChoose) && ksmScale.Status.Recommendation != nil && inEffect != previous.Shards {
		inEffect = 0
	}
	previous.Shards = inEffect
	return previous
}

// orZero returns a quantity, or 0 if there is none.
func orZero(quantity *resource.Quantity) *resource.Quantity {
	return cmp.Or(quantity, &resource.Quantity{})
}

// requestsInEffect are the requests of the containers of the partition that serves, unless spec.resources has them.
func requestsInEffect(ksmScale *v1alpha1.KSMScale, serving int32, snapshot observation.Snapshot) sizing.Recommendation {
	for i := range snapshot.Deployments {
		if total, _ := v1alpha1.PartitionOf(snapshot.Deployments[i].Labels); total != serving {
			continue
		}
		for _, container := range snapshot.Deployments[i].Spec.Template.Spec.Containers {
			memory := container.Resources.Requests.Memory()
			if container.Name == objects.ContainerName && !memory.IsZero() && memory.Cmp(*ksmScale.Spec.Resources.Requests.Memory()) != 0 {
				return sizing.Recommendation{
					Shards: serving, ReplicasPerShard: sizing.ReplicasForAvailability, Basis: sizing.BasisKept,
					MemoryRequestBytes: memory.Value(), MemoryLimitBytes: container.Resources.Limits.Memory().Value(),
					MilliCPURequest: container.Resources.Requests.Cpu().MilliValue(),
				}
			}
		}
	}
	return sizing.Recommendation{}
}

func figures(ksmScale *v1alpha1.KSMScale, serving int32, snapshot observation.Snapshot) sizing.Figures {
	figures := sizing.Figures{
		Version: objects.ImageVersion(ksmScale.Spec.MonitorImage), Total: serving, Shards: make([]sizing.Measurement, serving),
		KilledRequestBytes: highestKilledRequest(snapshot.Pods),
	}
	if len(snapshot.Versions.Known) == 1 {
		figures.Version = snapshot.Versions.Known[0]
	}
	for id := range serving {
		shard := v1alpha1.Shard{KSMScale: ksmScale.Name, ID: id, Total: serving}
		if measured, ok := snapshot.Measurements[shard]; ok {
			figures.Shards[id] = sizing.Measurement{
				Known: true, Series: measured.Series, ExpositionBytes: measured.ExpositionBytes, PeakMemoryBytes: measured.PeakMemoryBytes,
				CPUCores: measured.CPUCores, ScrapeSeconds: measured.ScrapeSeconds,
			}
		}
	}
	if snapshot.ObjectCounts != nil {
		estimate := sizing.EstimateOf(snapshot.ObjectCounts)
		figures.Estimate = &estimate
	}
	return figures
}

// highestKilledRequest returns the highest memory request in bytes of the kube-state-metrics containers that were killed for their memory;
// 0 if there is none.
func highestKilledRequest(pods []corev1.Pod) int64 {
	var highest int64
	for i := range pods {
		if !observation.IsKilledForMemory(&pods[i]) {
			continue
		}
		for _, container := range pods[i].Spec.Containers {
			if container.Name == objects.ContainerName {
				highest = max(highest, container.Resources.Requests.Memory().Value())
			}
		}
	}
	return highest
}

// shardBounds are the bounds of spec.sharding.auto. Without it, a recommendation may also be a single shard.
func shardBounds(spec *v1alpha1.KSMScaleSpec) sizing.Bounds {
	bounds := sizing.DefaultBounds()
	auto := spec.AutoSharding()
	if auto == nil {
		bounds.MinShards = 1
		return bounds
	}
	bounds.TargetBytes = auto.TargetScrapeBytes
	bounds.MinShards = cmp.Or(auto.MinShards, bounds.MinShards)
	bounds.MaxShards = cmp.Or(auto.MaxShards, bounds.MaxShards)
	bounds.TargetSeries = cmp.Or(auto.TargetSeriesPerShard, bounds.TargetSeries)
	return bounds
}

func sizeBounds(spec *v1alpha1.KSMScaleSpec) sizing.SizeBounds {
	bounds, auto := sizing.DefaultSizeBounds(), spec.AutoResources
	if auto == nil {
		return bounds
	}
	bounds.HeadroomPercent = cmp.Or(auto.HeadroomPercent, bounds.HeadroomPercent)
	bounds.MinMemoryBytes, bounds.MaxMemoryBytes = orZero(auto.MinMemory).Value(), orZero(auto.MaxMemory).Value()
	bounds.Limits = ptr.Deref(auto.Limits, true)
	return bounds
}

// WithRecommendation returns a KSMScale with a recommendation in its status. With spec.sharding.auto, the recommended number of shards
// becomes the desired number.
func WithRecommendation(ksmScale *v1alpha1.KSMScale, in sizing.Input, next sizing.Recommendation) *v1alpha1.KSMScale {
	recommended, before := ksmScale.DeepCopy(), ksmScale.Status.Recommendation
	applies := ksmScale.Spec.AutoSharding() != nil && next.Shards != 0
	switch { // The number of shards may be still to be chosen.
	case next.Shards != 0:
	case before != nil:
		next.Shards = before.Shards
	case next.MemoryRequestBytes != 0:
		next.Shards = in.ShardCount
	default:
		return recommended
	}
	status := &v1alpha1.Recommendation{
		Shards: next.Shards, ReplicasPerShard: next.ReplicasPerShard, Message: next.Basis, ReplicaAdvice: next.ReplicaAdvice, Series: in.Figures.Series(),
	}
	// The series belong to the figures of the text, which may stay although the numbers change.
	if before != nil && next.Basis == in.Previous.Basis {
		status.Series = before.Series
	}
	if next.MemoryRequestBytes > 0 {
		status.MemoryRequest = new(next.MemoryRequest())
	}
	if next.MemoryLimitBytes > 0 {
		status.MemoryLimit = new(next.MemoryLimit())
	}
	if next.MilliCPURequest > 0 {
		status.CPURequest = new(next.CPURequest())
	}
	// Without figures, the number in effect is no recommendation.
	if next.Basis != "" {
		recommended.Status.Recommendation = status
	}
	if applies {
		recommended.Status.SetTotalShards(next.Shards)
	}
	return recommended
}
