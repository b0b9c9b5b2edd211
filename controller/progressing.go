package controller

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

// progressing is False when something keeps the wanted objects or pods from being made, and True otherwise,
// whether work is under way or none is left. Scheduling is the status of Schedulable.
func progressing(in conditionInput, scheduling metav1.ConditionStatus) metav1.Condition {
	is := metav1.Condition{Type: v1alpha1.ConditionProgressing, Status: metav1.ConditionFalse}
	if in.failed.apply != nil {
		is.Reason, is.Message = applyFailure(in.failed.apply, in.ksmScale.Spec.Namespace)
		return is
	}
	if container := findStuckContainer(in.observed.pods, in.now); container != nil {
		is.Reason, is.Message = container.reason, stuckContainerMessage(container)
		return is
	}
	if is.Reason, is.Message = pausedDeployment(&in.observed); is.Reason != "" {
		return is
	}
	if is.Reason, is.Message = stuckDeployment(in.observed, scheduling); is.Reason != "" {
		return is
	}

	ready, wanted := totalReady(in.status.ShardingStatus), saturated(in.targets.Desired)
	is.Status = metav1.ConditionTrue
	switch {
	case len(in.status.ShardingStatus.Partitions) > 1:
		is.Reason, is.Message = v1alpha1.ReasonResharding, reshardingMessage(in)
	case slices.ContainsFunc(in.observed.deployments, isRollingOut) || in.observed.outdated.Len() > 0:
		is.Reason, is.Message = v1alpha1.ReasonRollingOut, rolloutMessage(in)
	case in.status.CurrentReplicas != wanted:
		is.Reason = v1alpha1.ReasonScaling
		is.Message = fmt.Sprintf("%d pods of the %d wanted", in.status.CurrentReplicas, wanted)
	case !divided(in.targets, in.status.ShardingStatus):
		is.Reason, is.Message = v1alpha1.ReasonScaling, "The shards' pods are not yet divided as is wanted"
	case slices.ContainsFunc(in.observed.deployments, isUnobserved):
		is.Reason, is.Message = v1alpha1.ReasonRollingOut, "A Deployment has changed, and its pods are still those from before"
	case ready < in.status.CurrentReplicas:
		is.Reason = v1alpha1.ReasonPodsNotReady
		is.Message = fmt.Sprintf("%d pods of the %d wanted are ready", ready, wanted)
	default:
		is.Reason = v1alpha1.ReasonComplete
		is.Message = fmt.Sprintf("%s ready, as many as are wanted", plural(int(ready), "pod", "pods"))
	}
	return is
}

func reshardingMessage(in conditionInput) string {
	others := slices.DeleteFunc(slices.Clone(in.status.ShardingStatus.Partitions), func(total int32) bool { return total == in.planned.Total })
	message := fmt.Sprintf("Shards of %s run beside those of %d", strings.Trim(fmt.Sprint(others), "[]"), in.planned.Total)
	switch decision := in.resharding; {
	case decision.Awaited != nil:
		message += ", which wait for " + awaitedMessage(decision.Awaited)
	case decision.Retired.Len() > 0:
		message += fmt.Sprintf(" for up to %s, until Prometheus has noticed that they are not to be scraped any more", DiscoveryDelay)
	}
	return message
}

func awaitedMessage(awaited *Awaited) string {
	shard := fmt.Sprintf("shard %d of %d", awaited.Shard.ID, awaited.Shard.Total)
	switch awaited.Step {
	case AwaitDeployment:
		return shard + " to be created"
	case AwaitService:
		return shard + " to have a Service"
	case AwaitUnretiredService:
		return fmt.Sprintf("the Service of %s to lose the label %s", shard, v1alpha1.LabelRetired)
	case AwaitReadyPods:
		return fmt.Sprintf("%s to have %s, and it has %d", shard, plural(int(awaited.NeededReplicas), "ready pod", "ready pods"), awaited.ReadyReplicas)
	case AwaitRollout:
		return shard + " to replace its pods"
	default:
		return fmt.Sprintf("every shard of %d to have been ready and scraped for two scrape intervals, %s", awaited.Shard.Total, awaited.ScrapedFor)
	}
}

func applyFailure(err error, namespace string) (reason, message string) {
	var notOwned notOwnedError
	switch {
	case apierrors.IsNotFound(err):
		return v1alpha1.ReasonNamespaceNotFound,
			fmt.Sprintf("spec.namespace %q does not exist: create it, or create a KSMScale for another namespace", namespace)
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return v1alpha1.ReasonNamespaceTerminating,
			fmt.Sprintf("spec.namespace %q is being deleted: create it again once it is gone, or create a KSMScale for another namespace", namespace)
	case apierrors.IsForbidden(err):
		return v1alpha1.ReasonForbidden, withAdvice(err.Error(), nil)
	case errors.As(err, &notOwned):
		return v1alpha1.ReasonNotOwned, err.Error()
	default:
		return v1alpha1.ReasonApplyFailed, withAdvice(err.Error(), nil)
	}
}

func stuckContainerMessage(stuck *stuckContainer) string {
	kind, cause := "Container", stuck.detail
	if stuck.init {
		kind = "Init container"
	}
	switch stuck.reason {
	case ReasonImagePullBackOff:
		cause = "it cannot be pulled; kubectl describe pod says why"
	case ReasonCrashLoopBackOff:
		if stuck.detail == "" {
			cause = fmt.Sprintf("it ends again and again, last with exit code %d (%s)", stuck.lastExit.ExitCode, stuck.lastExit.Reason)
		}
	}
	return fmt.Sprintf("%s %s of pod %s, image %s: %s", kind, stuck.container, stuck.pod, stuck.image, cause)
}

// stuckDeployment leaves out Deployments that are late because a pod has no node, which Schedulable tells better.
func stuckDeployment(observed observed, scheduling metav1.ConditionStatus) (reason, message string) {
	for _, deployment := range byName(observed.deployments) {
		if refused := refusedPods(deployment); refused != nil {
			return refused.Reason, fmt.Sprintf("Deployment %s: %s", deployment.Name, withAdvice(refused.Message, observed.limitRanges))
		}
		for _, condition := range deployment.Status.Conditions {
			late := condition.Type == appsv1.DeploymentProgressing && condition.Status == corev1.ConditionFalse
			if late && scheduling == metav1.ConditionTrue {
				return condition.Reason, fmt.Sprintf("Deployment %s: %s", deployment.Name, condition.Message)
			}
		}
	}
	return "", ""
}

// pausedDeployment is about a Deployment that someone has paused before its pods have its current template. Nothing else would ever
// tell why they do not get it.
func pausedDeployment(observed *observed) (reason, message string) {
	for _, deployment := range byName(observed.deployments) {
		shard, _ := shardOf(deployment.Labels)
		if deployment.Spec.Paused && (isRollingOut(*deployment) || observed.outdated.Has(shard)) {
			return v1alpha1.ReasonDeploymentPaused, fmt.Sprintf("Deployment %s is paused, so its pods do not get its current template: kubectl -n %s rollout resume deployment %s",
				deployment.Name, deployment.Namespace, deployment.Name)
		}
	}
	return "", ""
}

// isUnobserved tells whether a Deployment has changed since its controller looked at it last, so that its status is
// still about what was before.
func isUnobserved(deployment appsv1.Deployment) bool {
	return deployment.Status.ObservedGeneration < deployment.Generation
}

// isRollingOut tells whether some pods of a Deployment do not have its current template.
func isRollingOut(deployment appsv1.Deployment) bool {
	return deployment.Status.UpdatedReplicas < deployment.Status.Replicas
}
