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
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/controller/observation"
)

// progressingCondition is False while a failure keeps the controller from creating the desired objects, or their pods from starting.
// Otherwise it is True, and the reason is Complete when no work is left. The other arguments are the statuses of the conditions Schedulable
// and Autoscaling.
func progressingCondition(in conditionInput, scheduling, autoscaling metav1.ConditionStatus) metav1.Condition {
	condition := metav1.Condition{Type: v1alpha1.ConditionProgressing, Status: metav1.ConditionFalse}
	if condition.Reason, condition.Message = noProgress(in, scheduling); condition.Reason != "" {
		return condition
	}

	ready, desired, wanted := totalReady(in.status.ShardingStatus), saturated(in.targets.Desired), "desired "
	if in.KSMScale.Spec.AutoscalingMode() == v1alpha1.ModeNone {
		// Others choose the number of pods, so it is not the desired one.
		wanted = ""
	}
	condition.Status = metav1.ConditionTrue
	switch {
	case len(in.status.ShardingStatus.Partitions) > 1:
		condition.Reason, condition.Message = v1alpha1.ReasonResharding, reshardingMessage(in)
	case replacesPods(in):
		condition.Reason, condition.Message = v1alpha1.ReasonRollingOut, rolloutMessage(in)
	case onlySurplusPods(in, autoscaling):
		condition.Reason, condition.Message = v1alpha1.ReasonScaleDownPending, scaleDownMessage(in)
	case in.status.CurrentReplicas != desired:
		condition.Reason, condition.Message = v1alpha1.ReasonScaling, scalingMessage(in, desired)
	case !divided(in.targets, in.status.ShardingStatus):
		condition.Reason, condition.Message = v1alpha1.ReasonScaling, "Some shards do not have their desired number of pods yet"
	case slices.ContainsFunc(in.Snapshot.Deployments, observation.IsUnobserved):
		condition.Reason, condition.Message = v1alpha1.ReasonRollingOut, "A Deployment has changed, and its pods still have the previous template"
	case ready < in.status.CurrentReplicas:
		condition.Reason = v1alpha1.ReasonPodsNotReady
		condition.Message = fmt.Sprintf("%d of %s ready", ready, plural(int(desired), wanted+"pod is", wanted+"pods are"))
	default:
		condition.Reason = v1alpha1.ReasonComplete
		condition.Message = fmt.Sprintf("%s ready", plural(int(ready), wanted+"pod is", wanted+"pods are"))
		if ready > 1 {
			condition.Message = "All " + condition.Message
		}
	}
	return condition
}

// noProgress explains why the controller cannot create the desired objects, or why their pods do not start; empty if neither is so.
func noProgress(in conditionInput, scheduling metav1.ConditionStatus) (reason, message string) {
	if in.Failures.Apply != nil {
		return applyFailure(in.Failures.Apply, in.KSMScale.Spec.Namespace)
	}
	if container := observation.FindStuckContainer(in.Snapshot.Pods, in.Now); container != nil {
		return container.Reason, stuckContainerMessage(in, container)
	}
	if reason, message = pausedDeployment(&in.Snapshot); reason != "" {
		return reason, message
	}
	return stuckDeployment(in.Snapshot, scheduling)
}

// scalingMessage compares the pods that exist with the desired ones.
func scalingMessage(in conditionInput, desired int32) string {
	switch current := in.status.CurrentReplicas; {
	case in.KSMScale.Spec.AutoscalingMode() == v1alpha1.ModeNone:
		return fmt.Sprintf("%s, and the Deployments are set to %d", plural(int(current), "pod exists", "pods exist"), desired)
	case current > desired:
		return fmt.Sprintf("%s, and %s desired", plural(int(current), "pod exists", "pods exist"), plural(int(desired), "is", "are"))
	default:
		return fmt.Sprintf("%d of %s", current, plural(int(desired), "desired pod exists", "desired pods exist"))
	}
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
func stuckContainerMessage(in conditionInput, stuck *observation.StuckContainer) string {
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
	message := fmt.Sprintf("%s %s of pod %s, image %s: %s", kind, stuck.Container, stuck.Pod, stuck.Image, cause)
	if unknown := unknownResources(in); unknown != "" && stuck.Container == objects.ContainerName && stuck.Reason == observation.ReasonCrashLoopBackOff {
		return unknown + "; " + message
	}
	return message
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
	message := fmt.Sprintf("%d of %s the current template", current, plural(len(in.Planned.Shards), "shard has", "shards have"))
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
