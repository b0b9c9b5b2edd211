package observation

import (
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/example/ksmscale/api/v1alpha1"
)

// ShardOf is the shard that an object's labels say it is part of.
func ShardOf(labels map[string]string) (v1alpha1.Shard, bool) {
	id, err := strconv.ParseInt(labels[v1alpha1.LabelShardID], 10, 32)
	total, ok := PartitionOf(labels)
	return v1alpha1.Shard{KSMScale: labels[v1alpha1.LabelKSMScale], ID: int32(id), Total: total}, err == nil && ok
}

// PartitionOf is the number of shards that an object's labels say it is part of.
func PartitionOf(labels map[string]string) (int32, bool) {
	total, err := strconv.ParseInt(labels[v1alpha1.LabelTotalShards], 10, 32)
	return int32(total), err == nil
}

// Partitions are the numbers of shards of which there is any Deployment.
func Partitions(deployments []appsv1.Deployment) sets.Set[int32] {
	totals := sets.New[int32]()
	for i := range deployments {
		if total, ok := PartitionOf(deployments[i].Labels); ok && deployments[i].DeletionTimestamp == nil {
			totals.Insert(total)
		}
	}
	return totals
}

func IsPodOf(pod *corev1.Pod, shard v1alpha1.Shard) bool {
	for key, value := range shard.Selector() {
		if pod.Labels[key] != value {
			return false
		}
	}
	return true
}

func IsRetired(service *corev1.Service) bool { return service.Labels[v1alpha1.LabelRetired] != "" }
