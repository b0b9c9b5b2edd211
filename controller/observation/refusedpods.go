package observation

import (
	"context"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// LimitRangePhrases are in the messages of the admission plugin LimitRanger, at least one of them in each.
var LimitRangePhrases = []string{"usage per Container is", "usage per Pod is", "limit to request ratio per Container is", "limit to request ratio per Pod is"}

// IsRefusedByLimitRange tells whether a message says that a LimitRange refuses a pod. Such a message does not name the LimitRange.
func IsRefusedByLimitRange(message string) bool {
	return slices.ContainsFunc(LimitRangePhrases, func(phrase string) bool { return strings.Contains(message, phrase) })
}

// RefusedPods returns the condition of a Deployment that says why its pods cannot be created, or nil.
func RefusedPods(deployment *appsv1.Deployment) *appsv1.DeploymentCondition {
	for i, condition := range deployment.Status.Conditions {
		if condition.Type == appsv1.DeploymentReplicaFailure && condition.Status == corev1.ConditionTrue {
			return &deployment.Status.Conditions[i]
		}
	}
	return nil
}

// LimitRanges returns the names of the LimitRanges of a namespace if one of them refuses pods of the Deployments. They are listed
// only then, and not watched. If they cannot be listed, the message goes without their names.
func (r Reader) LimitRanges(ctx context.Context, namespace string, deployments []appsv1.Deployment) []string {
	for i := range deployments {
		if condition := RefusedPods(&deployments[i]); condition == nil || !IsRefusedByLimitRange(condition.Message) {
			continue
		}
		var list corev1.LimitRangeList
		if err := r.APIReader.List(ctx, &list, client.InNamespace(namespace)); err != nil {
			return nil
		}
		var names []string
		for _, limitRange := range SortedByName(list.Items) {
			names = append(names, limitRange.Name)
		}
		return names
	}
	return nil
}
