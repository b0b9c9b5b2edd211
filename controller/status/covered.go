package status

import (
	"fmt"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/controller/partition"
)

// coveredCondition is False while some object is missing from the metrics, because neither its shard nor another partition has a ready
// pod for it.
func coveredCondition(in conditionInput) metav1.Condition {
	shards := uncovered(in.status.ShardingStatus)
	if len(shards) > 0 && partition.CoveredByOthers(in.Planned, in.Snapshot) {
		return metav1.Condition{
			Type: v1alpha1.ConditionCovered, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonPreviousShardsReady,
			Message: "Each shard of the previous partition has a ready pod",
		}
	}
	condition := metav1.Condition{Type: v1alpha1.ConditionCovered, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonAllShardsReady}
	switch total := len(in.Planned.Shards); {
	case len(shards) > 0:
		condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, v1alpha1.ReasonShardsNotReady, uncoveredMessage(in, shards)
	case total == 1:
		condition.Message = "The only shard has a ready pod"
	default:
		condition.Message = fmt.Sprintf("Each of %d shards has a ready pod", total)
	}
	return condition
}

// uncoveredMessage names the shards without a ready pod. It begins with the cause and the fix if a Deployment is scaled to 0, and otherwise
// ends with where to look.
func uncoveredMessage(in conditionInput, shards []string) string {
	message := fmt.Sprintf("shards %s of %d have no ready pod", strings.Join(shards, ", "), len(in.Planned.Shards))
	switch {
	case len(in.Planned.Shards) == 1:
		message = "the only shard has no ready pod"
	case len(shards) == len(in.Planned.Shards):
		message = "no shard has a ready pod"
	case len(shards) == 1:
		message = fmt.Sprintf("shard %s of %d has no ready pod", shards[0], len(in.Planned.Shards))
	}
	for _, shard := range in.Planned.Shards {
		deployment := in.Snapshot.Deployment(shard.Shard)
		if deployment != nil && observation.ReplicasOf(deployment) == 0 {
			return fmt.Sprintf("Deployment %[1]s is scaled to 0: kubectl -n %[2]s scale deployment %[1]s --replicas=1; %[3]s", deployment.Name, in.KSMScale.Spec.Namespace, message)
		}
	}
	return fmt.Sprintf("%s; kubectl -n %s describe pods -l %s=%s,%s=%s shows the cause",
		strings.ToUpper(message[:1])+message[1:], in.KSMScale.Spec.Namespace, v1alpha1.LabelKSMScale, in.KSMScale.Name, v1alpha1.LabelShardID, shards[0])
}

// uncovered returns the IDs of the shards without a ready pod, in order.
func uncovered(sharding *v1alpha1.ShardingStatus) []string {
	var shards []string
	for id := range sharding.TotalShards {
		if name := strconv.Itoa(int(id)); sharding.ShardDistribution[name].Ready == 0 {
			shards = append(shards, name)
		}
	}
	return shards
}
