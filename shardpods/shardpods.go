package shardpods

import (
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

// shardLabels are the labels of both the pods and the Deployment of a shard.
var shardLabels = []string{v1alpha1.LabelKSMScale, v1alpha1.LabelShardID, v1alpha1.LabelTotalShards}

// Of returns the pods that belong to one of the Deployments. A ReplicaSet controls each of them, and has the name that the
// Deployment gives it. So the function needs no watch of ReplicaSets.
//
// A user who creates pods can forge this owner. If no ReplicaSet has the forged UID, the garbage collector deletes the
// pod. Otherwise the ReplicaSet counts the pod. A user who also creates ReplicaSets can add a pod that the Deployment does
// not count. Where a single pod matters, also compare with the Deployment's status.
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

// deploymentName is the name of the Deployment in the name of a pod's owner; empty if there is no such owner.
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
