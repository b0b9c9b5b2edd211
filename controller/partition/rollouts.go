package partition

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/scaling"
)

// RolloutLimits bound how many shards replace their pods at the same time, because each kube-state-metrics that starts lists the whole
// cluster. Without limits, a new version of KSMScale would replace all pods at once.
type RolloutLimits struct {
	// PerKSMScale bounds the shards of one KSMScale, and Total the shards of all KSMScales together. Both are at least 1.
	PerKSMScale, Total int
}

// AllowAnother reports whether another shard of a KSMScale may start a rollout now. The Deployments belong to all KSMScales.
func (l RolloutLimits) AllowAnother(ksmScale *v1alpha1.KSMScale, deployments []appsv1.Deployment) bool {
	own, all := 0, 0
	for i := range deployments {
		deployment := &deployments[i]
		if !isOfKSMScale(deployment) || !TakesTurn(deployment) {
			continue
		}
		all++
		if metav1.IsControlledBy(deployment, ksmScale) {
			own++
		}
	}
	return own < l.PerKSMScale && all < l.Total
}

// TakesTurn reports whether a rollout is under way that others have to wait for. A paused rollout, a rollout past its progress deadline and
// the creation of a Deployment do not count.
func TakesTurn(deployment *appsv1.Deployment) bool {
	status := &deployment.Status
	switch {
	case deployment.DeletionTimestamp != nil, deployment.Spec.Paused, status.ObservedGeneration == 0:
		return false
	case status.ObservedGeneration < deployment.Generation:
		return true
	case deployment.Annotations[observation.AnnotationRevision] == observation.FirstRevision:
		return false
	default:
		return !observation.RolloutCompleted(deployment) && observation.ProgressingReason(deployment) != observation.ReasonRolloutStuck
	}
}

// isOfKSMScale reports whether some KSMScale owns a Deployment.
func isOfKSMScale(deployment *appsv1.Deployment) bool {
	owner := metav1.GetControllerOf(deployment)
	if owner == nil || owner.Kind != "KSMScale" {
		return false
	}
	version, err := schema.ParseGroupVersion(owner.APIVersion)
	return err == nil && version.Group == v1alpha1.GroupVersion.Group
}

// NeedsTurn reports whether a new pod template would start another rollout. It does not if a rollout is under way or stuck, so a correction
// does not wait behind the mistake. An urgent shard and one that is being created need no turn either.
func NeedsTurn(live *appsv1.Deployment, urgent bool) bool {
	status := &live.Status
	switch {
	case urgent, status.ObservedGeneration == 0:
		return false
	case status.ObservedGeneration < live.Generation:
		// Perhaps only the replicas have changed. The Deployment controller is about to report that.
		return true
	case live.Spec.Paused:
		return status.UpdatedReplicas >= status.Replicas
	default:
		return observation.RolloutCompleted(live)
	}
}

// HasOtherTemplate reports whether the pod template that the controller owns of a Deployment differs from the desired one.
func HasOtherTemplate(owned, desired *appsv1ac.DeploymentApplyConfiguration) bool {
	return owned.Spec == nil || !equality.Semantic.DeepEqual(owned.Spec.Template, desired.Spec.Template)
}

// ChangesTLS reports whether pods would start or stop serving with TLS. Such a change needs no turn. Prometheus cannot scrape both kinds
// of pods with one job, so shards are missing from the metrics until the last shard has changed.
func ChangesTLS(live *appsv1.Deployment, desired *appsv1ac.DeploymentApplyConfiguration) bool {
	_, before := live.Spec.Template.Annotations[v1alpha1.AnnotationWebConfig]
	_, after := desired.Spec.Template.Annotations[v1alpha1.AnnotationWebConfig]
	return before != after
}

// IsUrgent reports whether a shard does not wait for its turn: it is down, or kube-state-metrics of one of its pods was killed for its
// memory, and it would get more memory. A pod remembers a kill for as long as it exists, so other changes are not urgent because of one.
func IsUrgent(live *appsv1.Deployment, resources corev1.ResourceRequirements, pods []corev1.Pod, now metav1.Time) bool {
	return isDown(live, pods, now) || LacksMemory(live, resources, pods)
}

// LacksMemory reports whether kube-state-metrics of a pod of a shard was killed for its memory, and would get more with these resources.
func LacksMemory(live *appsv1.Deployment, resources corev1.ResourceRequirements, pods []corev1.Pod) bool {
	return slices.ContainsFunc(pods, func(pod corev1.Pod) bool { return observation.IsKilledForMemory(&pod) }) && getsMoreMemory(live, resources)
}

// getsMoreMemory reports whether kube-state-metrics requests less memory, or has a lower limit, than it would with these resources.
func getsMoreMemory(live *appsv1.Deployment, resources corev1.ResourceRequirements) bool {
	containers := live.Spec.Template.Spec.Containers
	index := slices.IndexFunc(containers, func(container corev1.Container) bool { return container.Name == objects.ContainerName })
	if index < 0 {
		return false
	}
	current := containers[index].Resources
	limit, isLimited := current.Limits[corev1.ResourceMemory]
	next, willBeLimited := resources.Limits[corev1.ResourceMemory]
	return resources.Requests.Memory().Cmp(*current.Requests.Memory()) > 0 || isLimited && (!willBeLimited || next.Cmp(limit) > 0)
}

// UrgentFirst returns shards with the urgent ones first, and otherwise in the same order. Their kube-state-metrics is to have these resources.
func UrgentFirst(shards []scaling.Shard, resources corev1.ResourceRequirements, snapshot *observation.Snapshot, now metav1.Time) []scaling.Shard {
	var urgent, others []scaling.Shard
	for _, shard := range shards {
		if live := snapshot.Deployment(shard.Shard); live != nil && IsUrgent(live, resources, snapshot.PodsOf(shard.Shard), now) {
			urgent = append(urgent, shard)
		} else {
			others = append(others, shard)
		}
	}
	return append(urgent, others...)
}

// isDown reports whether a shard has no available pod and some of its pods cannot start. A shard without an available pod is not
// necessarily down, because all pods are unready while the API server is unreachable.
func isDown(live *appsv1.Deployment, pods []corev1.Pod, now metav1.Time) bool {
	if live.Status.AvailableReplicas > 0 {
		return false
	}
	return observation.FindStuckContainer(pods, now) != nil || slices.ContainsFunc(pods, func(pod corev1.Pod) bool { return observation.IsUnschedulable(&pod) })
}
