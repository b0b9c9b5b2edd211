package status

import (
	"fmt"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
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
	if len(shards) == 0 {
		return metav1.Condition{
			Type: v1alpha1.ConditionCovered, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonAllShardsReady,
			Message: fmt.Sprintf("Each of %s has a ready pod", plural(len(in.Planned.Shards), "shard", "shards")),
		}
	}
	return metav1.Condition{
		Type: v1alpha1.ConditionCovered, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonShardsNotReady,
		Message: fmt.Sprintf("%d of %s without a ready pod: %s",
			len(shards), plural(len(in.Planned.Shards), "shard", "shards"), strings.Join(shards, ", ")),
	}
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
