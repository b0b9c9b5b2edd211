package status

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/controller/partition"
)

// progressingCondition is False while a failure keeps the controller from creating the desired objects, or their pods from starting.
// Otherwise it is True, and the reason is Complete when no work is left. The other arguments are the statuses of the conditions Schedulable
// and Autoscaling.
func progressingCondition(in conditionInput, scheduling, autoscaling metav1.ConditionStatus) metav1.Condition {
	condition := metav1.Condition{Type: v1alpha1.ConditionProgressing, Status: metav1.ConditionFalse}
	if in.Failures.Apply != nil {
		condition.Reason, condition.Message = applyFailure(in.Failures.Apply, in.KSMScale.Spec.Namespace)
		return condition
	}
	if container := observation.FindStuckContainer(in.Snapshot.Pods, in.Now); container != nil {
		condition.Reason, condition.Message = container.Reason, stuckContainerMessage(container)
		return condition
	}
	if condition.Reason, condition.Message = pausedDeployment(&in.Snapshot); condition.Reason != "" {
		return condition
	}
	if condition.Reason, condition.Message = stuckDeployment(in.Snapshot, scheduling); condition.Reason != "" {
		return condition
	}

	ready, desired := totalReady(in.status.ShardingStatus), saturated(in.targets.Desired)
	condition.Status = metav1.ConditionTrue
	switch {
	case len(in.status.ShardingStatus.Partitions) > 1:
		condition.Reason, condition.Message = v1alpha1.ReasonResharding, reshardingMessage(in)
	case replacesPods(in):
		condition.Reason, condition.Message = v1alpha1.ReasonRollingOut, rolloutMessage(in)
	case onlySurplusPods(in, autoscaling):
		condition.Reason, condition.Message = v1alpha1.ReasonScaleDownPending, scaleDownMessage(in)
	case in.status.CurrentReplicas != desired:
		condition.Reason = v1alpha1.ReasonScaling
		condition.Message = fmt.Sprintf("%d of %d desired pods exist", in.status.CurrentReplicas, desired)
	case !divided(in.targets, in.status.ShardingStatus):
		condition.Reason, condition.Message = v1alpha1.ReasonScaling, "Some shards do not have their desired number of pods yet"
	case slices.ContainsFunc(in.Snapshot.Deployments, observation.IsUnobserved):
		condition.Reason, condition.Message = v1alpha1.ReasonRollingOut, "A Deployment has changed, and its pods still have the previous template"
	case ready < in.status.CurrentReplicas:
		condition.Reason = v1alpha1.ReasonPodsNotReady
		condition.Message = fmt.Sprintf("%d of %d desired pods are ready", ready, desired)
	default:
		condition.Reason = v1alpha1.ReasonComplete
		condition.Message = fmt.Sprintf("All %s ready", plural(int(ready), "desired pod is", "desired pods are"))
	}
	return condition
}

// pausedDeployment returns a Deployment that someone paused before its pods had its current template. No other condition explains why the
// pods keep the previous template.
func pausedDeployment(observed *observation.Snapshot) (reason, message string) {
	for _, deployment := range observation.SortedByName(observed.Deployments) {
		shard, _ := v1alpha1.ShardOf(deployment.Labels)
		if deployment.Spec.Paused && (observation.IsRollingOut(*deployment) || observed.Outdated.Has(shard)) {
			return v1alpha1.ReasonDeploymentPaused, fmt.Sprintf("Deployment %s is paused, so its pods do not get its current template: kubectl -n %s rollout resume deployment %s",
				deployment.Name, deployment.Namespace, deployment.Name)
		}
	}
	return "", ""
}

// stuckDeployment returns the first Deployment, by name, whose pods cannot be created or are late. A Deployment that is late because the
// scheduler finds no node is left to the condition Schedulable, which has a better message.
func stuckDeployment(observed observation.Snapshot, scheduling metav1.ConditionStatus) (reason, message string) {
	for _, deployment := range observation.SortedByName(observed.Deployments) {
		if failure := observation.RefusedPods(deployment); failure != nil {
			return failure.Reason, fmt.Sprintf("Deployment %s: %s", deployment.Name, withAdvice(failure.Message, observed.LimitRanges))
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

// stuckContainerMessage names a stuck container, the cause, and where to look further.
func stuckContainerMessage(stuck *observation.StuckContainer) string {
	kind, cause := "Container", stuck.Detail
	if stuck.Init {
		kind = "Init container"
	}
	switch stuck.Reason {
	case observation.ReasonImagePullBackOff:
		cause = "the kubelet cannot pull it: run kubectl describe pod for the cause"
	case observation.ReasonCrashLoopBackOff:
		if stuck.Detail == "" {
			cause = fmt.Sprintf("it keeps crashing, last with exit code %d (%s): run kubectl logs --previous for the cause", stuck.LastExit.ExitCode, stuck.LastExit.Reason)
		}
	}
	return fmt.Sprintf("%s %s of pod %s, image %s: %s", kind, stuck.Container, stuck.Pod, stuck.Image, cause)
}

// reshardingMessage names the partitions that run side by side, and the next step.
func reshardingMessage(in conditionInput) string {
	others := slices.DeleteFunc(slices.Clone(in.status.ShardingStatus.Partitions), func(total int32) bool { return total == in.Planned.Total })
	message := fmt.Sprintf("Shards of %s run next to the shards of %d", strings.Trim(fmt.Sprint(others), "[]"), in.Planned.Total)
	switch decision := in.Decision; {
	case decision.Awaited != nil:
		message += ", which wait for " + awaitedMessage(decision.Awaited)
	case decision.Retired.Len() > 0:
		message += fmt.Sprintf(" for up to %s, until Prometheus no longer scrapes them", partition.DiscoveryDelay)
	}
	return message
}

// awaitedMessage completes a sentence about the step that the desired partition waits for.
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
		return fmt.Sprintf("%s to have %s (now %d)", shard, plural(int(awaited.NeededReplicas), "ready pod", "ready pods"), awaited.ReadyReplicas)
	case partition.AwaitRollout:
		return shard + " to replace its pods"
	default:
		return fmt.Sprintf("Prometheus to scrape every ready shard of %d for two scrape intervals (%s)", awaited.Shard.Total, awaited.ScrapedFor)
	}
}

// rolloutMessage counts the shards with the current template, and names the rollouts that the next shard waits for.
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
