package shardpods

import (
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

// shardLabels are the labels that pods of a shard have in common with its Deployment.
var shardLabels = []string{v1alpha1.LabelKSMScale, v1alpha1.LabelShardID, v1alpha1.LabelTotalShards}

// Of returns the pods that belong to one of the Deployments. A ReplicaSet controls each of them, and its name is the name that
// the Deployment gives it: this needs no watch of ReplicaSets.
//
// Who creates pods can also forge this owner. The garbage collector deletes such a pod if the ReplicaSet does not exist under the
// forged UID; otherwise the ReplicaSet counts the pod as its own. Only someone who also creates ReplicaSets can keep a pod here
// that the Deployment does not count, so compare with the Deployment's status where a single pod decides something.
func Of(deployments []appsv1.Deployment, pods []corev1.Pod) []corev1.Pod {
	byName := make(map[string]*appsv1.Deployment, len(deployments))
	for i := range deployments {
		byName[deployments[i].Name] = &deployments[i]
	}
	var owned []corev1.Pod
	for i := range pods {
		deployment := byName[deploymentName(&pods[i])]
		if deployment != nil && sameShard(deployment, &pods[i]) {
			owned = append(owned, pods[i])
		}
	}
	return owned
}

// deploymentName is the name of the Deployment that a pod's owner is named after; empty if there is none.
func deploymentName(pod *corev1.Pod) string {
	owner, hash := metav1.GetControllerOf(pod), pod.Labels[appsv1.DefaultDeploymentUniqueLabelKey]
	if owner == nil || owner.Kind != "ReplicaSet" || owner.APIVersion != appsv1.SchemeGroupVersion.String() || hash == "" {
		return ""
	}
	name, named := strings.CutSuffix(owner.Name, "-"+hash)
	if !named {
		return ""
	}
	return name
}

func sameShard(deployment *appsv1.Deployment, pod *corev1.Pod) bool {
	return deployment.Namespace == pod.Namespace && !slices.ContainsFunc(shardLabels, func(label string) bool {
		return deployment.Labels[label] != pod.Labels[label]
	})
}
