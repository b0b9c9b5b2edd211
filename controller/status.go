package controller

import (
	"maps"
	"math"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/plans"
	"github.com/example/ksmscale/scaling"
)

// status is what a KSMScale's status should be, but for lastUpdated.
func (r *Reconciler) status(ksmScale *v1alpha1.KSMScale, planned plans.Planned, observed observed, resharding Decision, failed failures) v1alpha1.KSMScaleStatus {
	status := v1alpha1.KSMScaleStatus{
		ObservedGeneration: ksmScale.Generation,
		NodeCount:          saturated(int64(planned.Cluster.Nodes)),
		Nodes: &v1alpha1.NodesStatus{
			Registered:  saturated(int64(planned.Cluster.Registered)),
			Schedulable: saturated(int64(planned.Cluster.Schedulable)),
			Counted:     saturated(int64(planned.Cluster.Nodes)),
		},
		DesiredReplicas: saturated(planned.Desired),
		ShardingStatus: &v1alpha1.ShardingStatus{
			TotalShards:       planned.Total,
			Partitions:        slices.Sorted(maps.Keys(partitions(observed.deployments).Insert(planned.Total))),
			ScaleUpPaused:     planned.KSMScale.Status.ShardingStatus.ScaleUpPaused,
			ShardDistribution: make(map[string]v1alpha1.ShardReplicas, len(planned.Shards)),
		},
	}
	status.ShardingStatus.Weights = weightsOf(planned, status.ShardingStatus.Partitions)
	for _, shard := range planned.Shards {
		replicas := shardReplicas(shard.Shard, &observed)
		status.ShardingStatus.ShardDistribution[strconv.Itoa(int(shard.ID))] = replicas
		status.CurrentReplicas += replicas.Replicas
	}
	targets := targets(planned, observed)
	switch {
	case len(uncovered(status.ShardingStatus)) > 0 && !coveredByOthers(planned, observed):
		status.Phase = v1alpha1.PhaseIncomplete
	case len(status.ShardingStatus.Partitions) > 1:
		status.Phase = v1alpha1.PhaseResharding
	case !divided(targets, status.ShardingStatus) || targets.PausedReplicas() > 0:
		status.Phase = v1alpha1.PhaseScaling
	default:
		status.Phase = v1alpha1.PhaseReady
	}
	status.Conditions = conditions(conditionInput{
		ksmScale: ksmScale, planned: planned, targets: targets, observed: observed, resharding: resharding, status: status,
		failed: failed, registrationErr: r.Registration.Err(), adapter: r.Adapter, kinds: r.NodeKinds.Kinds(), now: now(r.Clock),
	})
	return status
}

// targets is a plan with the replicas that shards are to have for now: those planned or, in mode None and where the
// difference is within a tolerance, those that their Deployments are set to.
func targets(planned plans.Planned, observed observed) plans.Planned {
	manualScaling := planned.KSMScale.Spec.AutoscalingMode() == v1alpha1.ModeNone
	pace := scaling.NewPace(&planned.KSMScale.Spec)
	if toleranceIgnored(observed.autoscalers) {
		pace = pace.WithDefaultTolerance()
	}
	planned.Shards, planned.Desired = slices.Clone(planned.Shards), 0
	for i := range planned.Shards {
		shard := &planned.Shards[i]
		deployment := observed.deployment(shard.Shard)
		switch {
		case manualScaling && deployment == nil:
			shard.Replicas, shard.PausedReplicas = 1, 0
		case manualScaling:
			shard.Replicas, shard.PausedReplicas = replicasOf(deployment), 0
		case deployment != nil && pace.Tolerates(replicasOf(deployment), shard.Replicas):
			shard.Replicas = replicasOf(deployment)
		}
		planned.Desired += int64(shard.Replicas) + int64(shard.PausedReplicas)
	}
	return planned
}

// shardReplicas counts the pods of a shard. Pods that are being deleted, or have ended, do not count. No more pods are ready than the
// Deployment counts: a pod can be made to look like one of its pods.
func shardReplicas(shard v1alpha1.Shard, observed *observed) v1alpha1.ShardReplicas {
	replicas := v1alpha1.ShardReplicas{Pods: []string{}}
	for i := range observed.pods {
		pod := &observed.pods[i]
		if !belongsTo(pod, shard) || !isActive(pod) {
			continue
		}
		replicas.Replicas++
		replicas.Pods = append(replicas.Pods, pod.Name)
		if podCondition(pod, corev1.PodReady).Status == corev1.ConditionTrue {
			replicas.Ready++
		}
	}
	var counted int32
	if deployment := observed.deployment(shard); deployment != nil {
		counted = deployment.Status.ReadyReplicas
	}
	replicas.Ready = min(replicas.Ready, counted)
	slices.Sort(replicas.Pods)
	replicas.Pods = replicas.Pods[:min(len(replicas.Pods), v1alpha1.MaxPodsInStatus)]
	return replicas
}

func belongsTo(pod *corev1.Pod, shard v1alpha1.Shard) bool {
	for key, value := range shard.Selector() {
		if pod.Labels[key] != value {
			return false
		}
	}
	return true
}

// isActive tells whether a pod runs or is still going to.
func isActive(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && !hasEnded(pod)
}

// hasEnded tells whether the containers of a pod have ended for good.
func hasEnded(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// podCondition returns the zero condition if there is none of that type.
func podCondition(pod *corev1.Pod, conditionType corev1.PodConditionType) corev1.PodCondition {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == conditionType {
			return condition
		}
	}
	return corev1.PodCondition{}
}

// uncovered are the shards without a ready pod, in order.
func uncovered(sharding *v1alpha1.ShardingStatus) []string {
	var shards []string
	for id := range sharding.TotalShards {
		if name := strconv.Itoa(int(id)); sharding.ShardDistribution[name].Ready == 0 {
			shards = append(shards, name)
		}
	}
	return shards
}

// divided tells whether each shard has as many pods as are planned for it.
func divided(planned plans.Planned, sharding *v1alpha1.ShardingStatus) bool {
	for _, shard := range planned.Shards {
		if sharding.ShardDistribution[strconv.Itoa(int(shard.ID))].Replicas != shard.Replicas {
			return false
		}
	}
	return true
}

func totalReady(sharding *v1alpha1.ShardingStatus) int32 {
	var ready int32
	for _, replicas := range sharding.ShardDistribution {
		ready += replicas.Ready
	}
	return ready
}

// saturated is a count as the 32-bit fields of the status can hold it.
func saturated(count int64) int32 { return int32(min(count, math.MaxInt32)) }

// now is the time to the second, as the API server keeps it.
func now(clock clock.PassiveClock) metav1.Time { return metav1.NewTime(clock.Now()).Rfc3339Copy() }
