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
	"github.com/example/ksmscale/controller/observation"
)

// RolloutLimits bound how many shards replace their pods at the same time: each kube-state-metrics that starts lists the whole
// cluster, and a new version of KSMScale replaces all of them.
type RolloutLimits struct {
	// PerKSMScale bounds the shards of one KSMScale, and Total those of all KSMScales together. Both are at least 1.
	PerKSMScale, Total int
}

// AllowAnother tells whether another shard of a KSMScale may start a rollout beside those of all Deployments.
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

// TakesTurn tells whether a rollout is under way that others have to wait for: not one that is paused or past its progress
// deadline, nor the creation of a Deployment.
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

// isOfKSMScale tells whether some KSMScale owns a Deployment.
func isOfKSMScale(deployment *appsv1.Deployment) bool {
	owner := metav1.GetControllerOf(deployment)
	if owner == nil || owner.Kind != "KSMScale" {
		return false
	}
	version, err := schema.ParseGroupVersion(owner.APIVersion)
	return err == nil && version.Group == v1alpha1.GroupVersion.Group
}

// NeedsTurn tells whether another pod template would start a rollout. It replaces one that is under way or stuck, so that a
// correction does not wait behind the mistake. Pods of a shard that is down or being created are not worth waiting for.
func NeedsTurn(live *appsv1.Deployment, down bool) bool {
	status := &live.Status
	switch {
	case down, status.ObservedGeneration == 0:
		return false
	case status.ObservedGeneration < live.Generation:
		// What has changed may be the replicas only; the Deployment's controller is about to tell.
		return true
	case live.Spec.Paused:
		return status.UpdatedReplicas >= status.Replicas
	default:
		return observation.RolloutCompleted(live)
	}
}

// HasOtherTemplate tells whether the pod template that the controller owns of a Deployment differs from the desired one.
func HasOtherTemplate(owned, desired *appsv1ac.DeploymentApplyConfiguration) bool {
	return owned.Spec == nil || !equality.Semantic.DeepEqual(owned.Spec.Template, desired.Spec.Template)
}

// ChangesTLS tells whether pods would begin or cease to serve with TLS. Prometheus cannot scrape both by one job, so that the gap
// which that leaves lasts until the last shard has changed.
func ChangesTLS(live *appsv1.Deployment, desired *appsv1ac.DeploymentApplyConfiguration) bool {
	_, before := live.Spec.Template.Annotations[v1alpha1.AnnotationWebConfig]
	_, after := desired.Spec.Template.Annotations[v1alpha1.AnnotationWebConfig]
	return before != after
}

// IsDown tells whether a shard has no available pod, and some of its pods cannot start. That no pod is available is not enough:
// while the API server is away, all are not ready.
func IsDown(live *appsv1.Deployment, pods []corev1.Pod, now metav1.Time) bool {
	if live.Status.AvailableReplicas > 0 {
		return false
	}
	return observation.FindStuckContainer(pods, now) != nil || slices.ContainsFunc(pods, func(pod corev1.Pod) bool { return observation.IsUnschedulable(&pod) })
}
