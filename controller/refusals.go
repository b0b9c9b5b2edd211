package controller

import (
	"context"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// refusal is a kind of answer of the API server that refuses pods, or Deployments.
type refusal struct {
	// phrases are in each of its messages, at least one of them.
	phrases []string
	// advice names the fields to change.
	advice string
}

const setResources = "set requests and limits in spec.resources for container kube-state-metrics, and in spec.template.gate.resources for container gate"

// limitRangeRefusal is the one whose messages do not name who refuses.
var limitRangeRefusal = refusal{
	[]string{"usage per Container is", "usage per Pod is", "limit to request ratio per Container is", "limit to request ratio per Pod is"},
	setResources,
}

var refusals = []refusal{
	limitRangeRefusal,
	{[]string{"failed quota: "}, setResources},
	{[]string{"exceeded quota: "}, "raise that quota, or lower spec.resources and spec.template.gate.resources"},
	{[]string{"ValidatingAdmissionPolicy '", "admission webhook \""}, "if containers need requests or limits, " + setResources + "; spec.template has the other fields of the pods"},
	{[]string{"violates PodSecurity "}, "change hostNetwork, volumes, securityContext or containerSecurityContext of spec.template, or the namespace's label pod-security.kubernetes.io/enforce"},
	{[]string{"no PriorityClass with name "}, "create it, or change spec.template.priorityClassName"},
	{[]string{"error looking up service account "}, "create it, or change spec.template.serviceAccountName"},
}

func (r refusal) matches(message string) bool {
	for _, phrase := range r.phrases {
		if strings.Contains(message, phrase) {
			return true
		}
	}
	return false
}

// withAdvice is a message of the API server, followed by what to do if that is known. LimitRanges are the names of those in the
// namespace, because messages do not say which of them refuses.
func withAdvice(message string, limitRanges []string) string {
	for _, refusal := range refusals {
		if !refusal.matches(message) {
			continue
		}
		if len(limitRanges) > 0 && limitRangeRefusal.matches(message) {
			message += " (LimitRange " + strings.Join(limitRanges, ", ") + ")"
		}
		return message + ": " + refusal.advice
	}
	return message
}

// refusedPods returns the condition of a Deployment that says why its pods cannot be created, or nil.
func refusedPods(deployment *appsv1.Deployment) *appsv1.DeploymentCondition {
	for i, condition := range deployment.Status.Conditions {
		if condition.Type == appsv1.DeploymentReplicaFailure && condition.Status == corev1.ConditionTrue {
			return &deployment.Status.Conditions[i]
		}
	}
	return nil
}

// limitRanges returns the names of the LimitRanges of a namespace if one of them refuses pods of the Deployments. They are listed
// only then, and not watched. If they cannot be listed, the message goes without their names.
func (r *Reconciler) limitRanges(ctx context.Context, namespace string, deployments []appsv1.Deployment) []string {
	for i := range deployments {
		condition := refusedPods(&deployments[i])
		if condition == nil || !limitRangeRefusal.matches(condition.Message) {
			continue
		}
		var list corev1.LimitRangeList
		if err := r.APIReader.List(ctx, &list, client.InNamespace(namespace)); err != nil {
			return nil
		}
		var names []string
		for _, limitRange := range byName(list.Items) {
			names = append(names, limitRange.Name)
		}
		return names
	}
	return nil
}
