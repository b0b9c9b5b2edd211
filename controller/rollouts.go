package controller

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/scaling"
)

// RolloutLimits bound how many shards replace their pods at the same time: each kube-state-metrics that starts lists the whole
// cluster, and a new version of KSMScale replaces all of them.
type RolloutLimits struct {
	// PerKSMScale bounds the shards of one KSMScale, and Total those of all KSMScales together. Both are at least 1.
	PerKSMScale, Total int
}

// Annotations and reasons of the Deployment controller (k8s.io/kubernetes/pkg/controller/deployment/util).
const (
	annotationRevision     = "deployment.kubernetes.io/revision"
	firstRevision          = "1"
	reasonRolloutCompleted = "NewReplicaSetAvailable"
	reasonRolloutStuck     = "ProgressDeadlineExceeded"
)

// applyDeployment applies the Deployment of a shard. It returns true, and only adopts the Deployment if it is an orphan, if another pod
// template would start a rollout whose turn has not come.
func (a applier) applyDeployment(ctx context.Context, planned scaling.Shard, before *observed) (waits bool, err error) {
	desired, live := deployment(a.owner, planned, a.GateImage), before.deployment(planned.Shard)
	send := func() error { return apply(ctx, a, desired, &appsv1.Deployment{}, appsv1ac.ExtractDeployment) }
	if live == nil {
		return false, send()
	}
	owned, err := appsv1ac.ExtractDeployment(live, FieldOwner)
	if err != nil {
		return false, fmt.Errorf("read the managed fields of Deployment %s: %w", live.Name, err)
	}
	if a.isApplied(owned, desired) || !hasOtherTemplate(owned, desired) || changesTLS(live, desired) || !needsTurn(live, isDown(live, before.podsOf(planned.Shard), now(a.Clock))) {
		return false, send()
	}
	// No two reconciles take the last turn: the list has what the one before has applied, and waits for it in any case.
	a.turns.Lock()
	defer a.turns.Unlock()
	var all appsv1.DeploymentList
	if err := a.Client.List(ctx, &all, client.UnsafeDisableDeepCopy); err != nil {
		return false, fmt.Errorf("list the Deployments of all KSMScales: %w", err)
	}
	if live.Spec.Paused || !a.Rollouts.allowAnother(a.owner, all.Items) {
		return true, adopt(ctx, a, live)
	}
	return false, send()
}

// hasOtherTemplate tells whether the pod template that the controller owns of a Deployment differs from the desired one.
func hasOtherTemplate(owned, desired *appsv1ac.DeploymentApplyConfiguration) bool {
	return owned.Spec == nil || !equality.Semantic.DeepEqual(owned.Spec.Template, desired.Spec.Template)
}

// changesTLS tells whether pods would begin or cease to serve with TLS. Prometheus cannot scrape both by one job, so that the gap
// which that leaves lasts until the last shard has changed.
func changesTLS(live *appsv1.Deployment, desired *appsv1ac.DeploymentApplyConfiguration) bool {
	_, before := live.Spec.Template.Annotations[v1alpha1.AnnotationWebConfig]
	_, after := desired.Spec.Template.Annotations[v1alpha1.AnnotationWebConfig]
	return before != after
}

// needsTurn tells whether another pod template would start a rollout. It replaces one that is under way or stuck, so that a
// correction does not wait behind the mistake. Pods of a shard that is down or being created are not worth waiting for.
func needsTurn(live *appsv1.Deployment, down bool) bool {
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
		return rolloutCompleted(live)
	}
}

// takesTurn tells whether a rollout is under way that others have to wait for: not one that is paused or past its progress
// deadline, nor the creation of a Deployment.
func takesTurn(deployment *appsv1.Deployment) bool {
	status := &deployment.Status
	switch {
	case deployment.DeletionTimestamp != nil, deployment.Spec.Paused, status.ObservedGeneration == 0:
		return false
	case status.ObservedGeneration < deployment.Generation:
		return true
	case deployment.Annotations[annotationRevision] == firstRevision:
		return false
	default:
		return !rolloutCompleted(deployment) && progressingReason(deployment) != reasonRolloutStuck
	}
}

// rolloutCompleted tells whether all pods have the template of a Deployment, as observed last, and have once been available. Pods
// that are added or fail later are no rollout, which is why their number is not compared with spec.replicas.
func rolloutCompleted(deployment *appsv1.Deployment) bool {
	reason := progressingReason(deployment)
	return deployment.Status.UpdatedReplicas >= deployment.Status.Replicas && (reason == "" || reason == reasonRolloutCompleted)
}

func progressingReason(deployment *appsv1.Deployment) string {
	for _, condition := range deployment.Status.Conditions {
		if condition.Type == appsv1.DeploymentProgressing {
			return condition.Reason
		}
	}
	return ""
}

// isDown tells whether a shard has no available pod, and some of its pods cannot start. That no pod is available is not enough:
// while the API server is away, all are not ready.
func isDown(live *appsv1.Deployment, pods []corev1.Pod, now metav1.Time) bool {
	if live.Status.AvailableReplicas > 0 {
		return false
	}
	return findStuckContainer(pods, now) != nil || slices.ContainsFunc(pods, func(pod corev1.Pod) bool { return isUnschedulable(&pod) })
}

// allowAnother tells whether another shard of a KSMScale may start a rollout beside those of all Deployments.
func (l RolloutLimits) allowAnother(ksmScale *v1alpha1.KSMScale, deployments []appsv1.Deployment) bool {
	own, all := 0, 0
	for i := range deployments {
		deployment := &deployments[i]
		if !isOfKSMScale(deployment) || !takesTurn(deployment) {
			continue
		}
		all++
		if metav1.IsControlledBy(deployment, ksmScale) {
			own++
		}
	}
	return own < l.PerKSMScale && all < l.Total
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

// turnEnded passes changes after which a shard of another KSMScale may start a rollout.
func turnEnded() predicate.Predicate {
	takes := func(object client.Object) bool {
		deployment, ok := object.(*appsv1.Deployment)
		if !ok {
			panic(fmt.Sprintf("a change of a Deployment has a %T", object))
		}
		return takesTurn(deployment)
	}
	return predicate.Funcs{
		CreateFunc:  func(event.CreateEvent) bool { return false },
		UpdateFunc:  func(e event.UpdateEvent) bool { return takes(e.ObjectOld) && !takes(e.ObjectNew) },
		DeleteFunc:  func(e event.DeleteEvent) bool { return takes(e.Object) },
		GenericFunc: func(event.GenericEvent) bool { return false },
	}
}

// rolloutMessage says how many shards have the current template, and what the next one waits for.
func rolloutMessage(in conditionInput) string {
	current, rolling := 0, []string{}
	for _, shard := range in.planned.Shards {
		deployment := in.observed.deployment(shard.Shard)
		switch {
		case deployment == nil || in.observed.outdated.Has(shard.Shard):
		case isUnobserved(*deployment) || isRollingOut(*deployment):
			rolling = append(rolling, strconv.Itoa(int(shard.ID)))
		default:
			current++
		}
	}
	message := fmt.Sprintf("%d of %d shards have the current template", current, len(in.planned.Shards))
	switch {
	case len(rolling) == 1:
		message += fmt.Sprintf("; shard %s replaces its pods", rolling[0])
	case len(rolling) > 1:
		message += fmt.Sprintf("; shards %s replace their pods", strings.Join(rolling, ", "))
	case in.observed.outdated.Len() > 0:
		message += "; the next waits for rollouts of other KSMScales"
	}
	return message
}
