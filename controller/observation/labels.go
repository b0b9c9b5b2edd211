package observation

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/example/ksmscale/api/v1alpha1"
)

// Partitions returns the totals of the partitions that have a Deployment.
func Partitions(deployments []appsv1.Deployment) sets.Set[int32] {
	totals := sets.New[int32]()
	for i := range deployments {
		if total, ok := v1alpha1.PartitionOf(deployments[i].Labels); ok && deployments[i].DeletionTimestamp == nil {
			totals.Insert(total)
		}
	}
	return totals
}

// IsPodOf reports whether a pod has the labels of a shard.
func IsPodOf(pod *corev1.Pod, shard v1alpha1.Shard) bool {
	for key, value := range shard.Selector() {
		if pod.Labels[key] != value {
			return false
		}
	}
	return true
}

// IsRetired reports whether Prometheus no longer scrapes a Service.
func IsRetired(service *corev1.Service) bool { return service.Labels[v1alpha1.LabelRetired] != "" }
