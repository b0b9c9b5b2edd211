package status

import (
	"fmt"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/scaling"
)

// onlySurplusPods reports whether every shard has at least its desired pods, all ready, and the only work left is to remove pods. Whoever
// scales the shards does that after the stabilization window. The argument is the status of the condition Autoscaling.
func onlySurplusPods(in conditionInput, autoscaling metav1.ConditionStatus) bool {
	if autoscaling != metav1.ConditionTrue || in.targets.PausedReplicas() > 0 {
		return false
	}
	var surplus bool
	for _, shard := range in.targets.Shards {
		deployment, pods := in.Snapshot.Deployment(shard.Shard), in.status.ShardingStatus.ShardDistribution[strconv.Itoa(int(shard.ID))]
		if deployment == nil || observation.ReplicasOf(deployment) < shard.Replicas || pods.Replicas < observation.ReplicasOf(deployment) || pods.Ready < pods.Replicas {
			return false
		}
		surplus = surplus || pods.Replicas > shard.Replicas
	}
	return surplus
}

// scaleDownMessage returns who removes the surplus pods, and when.
func scaleDownMessage(in conditionInput) string {
	who := "the HorizontalPodAutoscalers remove"
	if in.KSMScale.Spec.AutoscalingMode() == v1alpha1.ModeDirect {
		who = "the controller removes"
	}
	message := fmt.Sprintf("%s ready and %s desired", plural(int(in.status.CurrentReplicas), "pod is", "pods are"), plural(int(saturated(in.targets.Desired)), "is", "are"))
	window, allowed := scaling.NewPace(&in.KSMScale.Spec).ScaleDownWindow()
	switch notBefore := in.ScaleDownNotBefore; {
	case !allowed:
		return message + "; spec.autoscaling.behavior.scaleDown.selectPolicy Disabled keeps the other pods"
	case !notBefore.IsZero():
		return fmt.Sprintf("%s; %s the other pods not before %s, because the stabilization window is %s", message, who, notBefore.UTC().Format(time.RFC3339), window)
	case window > 0:
		return fmt.Sprintf("%s; %s the other pods after the stabilization window of %s", message, who, window)
	default:
		return fmt.Sprintf("%s; %s the other pods soon", message, who)
	}
}
