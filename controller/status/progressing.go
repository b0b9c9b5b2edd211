package status

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/controller/partition"
)

// NotOwnedError is returned instead of taking over an object that someone else made.
type NotOwnedError struct{ Kind, Name string }

func (e NotOwnedError) Error() string {
	return fmt.Sprintf("%s %s exists and was not made for this KSMScale: delete or rename it, or create the KSMScale under another name", e.Kind, e.Name)
}

// progressing is False when something keeps the wanted objects or pods from being made, and True otherwise,
// whether work is under way or none is left. Scheduling is the status of Schedulable.
func progressing(in conditionInput, scheduling metav1.ConditionStatus) metav1.Condition {
	is := metav1.Condition{Type: v1alpha1.ConditionProgressing, Status: metav1.ConditionFalse}
	if in.Failures.Apply != nil {
		is.Reason, is.Message = applyFailure(in.Failures.Apply, in.KSMScale.Spec.Namespace)
		return is
	}
	if container := observation.FindStuckContainer(in.Snapshot.Pods, in.Now); container != nil {
		is.Reason, is.Message = container.Reason, stuckContainerMessage(container)
		return is
	}
	if is.Reason, is.Message = pausedDeployment(&in.Snapshot); is.Reason != "" {
		return is
	}
	if is.Reason, is.Message = stuckDeployment(in.Snapshot, scheduling); is.Reason != "" {
		return is
	}

	ready, wanted := totalReady(in.status.ShardingStatus), saturated(in.targets.Desired)
	is.Status = metav1.ConditionTrue
	switch {
	case len(in.status.ShardingStatus.Partitions) > 1:
		is.Reason, is.Message = v1alpha1.ReasonResharding, reshardingMessage(in)
	case slices.ContainsFunc(in.Snapshot.Deployments, observation.IsRollingOut) || in.Snapshot.Outdated.Len() > 0:
		is.Reason, is.Message = v1alpha1.ReasonRollingOut, rolloutMessage(in)
	case in.status.CurrentReplicas != wanted:
		is.Reason = v1alpha1.ReasonScaling
		is.Message = fmt.Sprintf("%d pods of the %d wanted", in.status.CurrentReplicas, wanted)
	case !divided(in.targets, in.status.ShardingStatus):
		is.Reason, is.Message = v1alpha1.ReasonScaling, "The shards' pods are not yet divided as is wanted"
	case slices.ContainsFunc(in.Snapshot.Deployments, observation.IsUnobserved):
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
	others := slices.DeleteFunc(slices.Clone(in.status.ShardingStatus.Partitions), func(total int32) bool { return total == in.Planned.Total })
	message := fmt.Sprintf("Shards of %s run beside those of %d", strings.Trim(fmt.Sprint(others), "[]"), in.Planned.Total)
	switch decision := in.Decision; {
	case decision.Awaited != nil:
		message += ", which wait for " + awaitedMessage(decision.Awaited)
	case decision.Retired.Len() > 0:
		message += fmt.Sprintf(" for up to %s, until Prometheus has noticed that they are not to be scraped any more", partition.DiscoveryDelay)
	}
	return message
}

func awaitedMessage(awaited *partition.Awaited) string {
	shard := fmt.Sprintf("shard %d of %d", awaited.Shard.ID, awaited.Shard.Total)
	switch awaited.Step {
	case partition.AwaitDeployment:
		return shard + " to be created"
	case partition.AwaitService:
		return shard + " to have a Service"
	case partition.AwaitUnretiredService:
		return fmt.Sprintf("the Service of %s to lose the label %s", shard, v1alpha1.LabelRetired)
	case partition.AwaitReadyPods:
		return fmt.Sprintf("%s to have %s, and it has %d", shard, plural(int(awaited.NeededReplicas), "ready pod", "ready pods"), awaited.ReadyReplicas)
	case partition.AwaitRollout:
		return shard + " to replace its pods"
	default:
		return fmt.Sprintf("every shard of %d to have been ready and scraped for two scrape intervals, %s", awaited.Shard.Total, awaited.ScrapedFor)
	}
}

func applyFailure(err error, namespace string) (reason, message string) {
	var notOwned NotOwnedError
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

func stuckContainerMessage(stuck *observation.StuckContainer) string {
	kind, cause := "Container", stuck.Detail
	if stuck.Init {
		kind = "Init container"
	}
	switch stuck.Reason {
	case observation.ReasonImagePullBackOff:
		cause = "it cannot be pulled; kubectl describe pod says why"
	case observation.ReasonCrashLoopBackOff:
		if stuck.Detail == "" {
			cause = fmt.Sprintf("it ends again and again, last with exit code %d (%s)", stuck.LastExit.ExitCode, stuck.LastExit.Reason)
		}
	}
	return fmt.Sprintf("%s %s of pod %s, image %s: %s", kind, stuck.Container, stuck.Pod, stuck.Image, cause)
}

// stuckDeployment leaves out Deployments that are late because a pod has no node, which Schedulable tells better.
func stuckDeployment(observed observation.Snapshot, scheduling metav1.ConditionStatus) (reason, message string) {
	for _, deployment := range observation.SortedByName(observed.Deployments) {
		if refused := observation.RefusedPods(deployment); refused != nil {
			return refused.Reason, fmt.Sprintf("Deployment %s: %s", deployment.Name, withAdvice(refused.Message, observed.LimitRanges))
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
func pausedDeployment(observed *observation.Snapshot) (reason, message string) {
	for _, deployment := range observation.SortedByName(observed.Deployments) {
		shard, _ := observation.ShardOf(deployment.Labels)
		if deployment.Spec.Paused && (observation.IsRollingOut(*deployment) || observed.Outdated.Has(shard)) {
			return v1alpha1.ReasonDeploymentPaused, fmt.Sprintf("Deployment %s is paused, so its pods do not get its current template: kubectl -n %s rollout resume deployment %s",
				deployment.Name, deployment.Namespace, deployment.Name)
		}
	}
	return "", ""
}

// rolloutMessage says how many shards have the current template, and what the next one waits for.
func rolloutMessage(in conditionInput) string {
	current, rolling := 0, []string{}
	for _, shard := range in.Planned.Shards {
		deployment := in.Snapshot.Deployment(shard.Shard)
		switch {
		case deployment == nil || in.Snapshot.Outdated.Has(shard.Shard):
		case observation.IsUnobserved(*deployment) || observation.IsRollingOut(*deployment):
			rolling = append(rolling, strconv.Itoa(int(shard.ID)))
		default:
			current++
		}
	}
	message := fmt.Sprintf("%d of %d shards have the current template", current, len(in.Planned.Shards))
	switch {
	case len(rolling) == 1:
		message += fmt.Sprintf("; shard %s replaces its pods", rolling[0])
	case len(rolling) > 1:
		message += fmt.Sprintf("; shards %s replace their pods", strings.Join(rolling, ", "))
	case in.Snapshot.Outdated.Len() > 0:
		message += "; the next waits for rollouts of other KSMScales"
	}
	return message
}
