package controller

import (
	rbacv1 "k8s.io/api/rbac/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	rbacv1ac "k8s.io/client-go/applyconfigurations/rbac/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

// Cluster roles that the installation has for kube-state-metrics. The controller may bind just these.
const (
	// MonitorClusterRole lists and watches all that kube-state-metrics can export but Secrets.
	MonitorClusterRole = "ksmscale-kube-state-metrics"
	// MonitorSecretsClusterRole lists and watches Secrets.
	MonitorSecretsClusterRole = "ksmscale-kube-state-metrics-secrets"
	// MonitorAuthFilterClusterRole asks who a caller is and what it may, and gets metrics.
	MonitorAuthFilterClusterRole = "ksmscale-kube-state-metrics-auth-filter"
)

// serviceAccount is the wanted service account of a KSMScale's shards.
func serviceAccount(ksmScale *v1alpha1.KSMScale) *corev1ac.ServiceAccountApplyConfiguration {
	return describe(ksmScale, corev1ac.ServiceAccount(v1alpha1.ServiceAccountName(ksmScale.Name), ksmScale.Spec.Namespace), identityLabels(ksmScale))
}

// ownsServiceAccount tells whether the pods of a KSMScale run under the service account that is made for it. The rights
// of another one are not its business.
func ownsServiceAccount(ksmScale *v1alpha1.KSMScale) bool {
	return ksmScale.Spec.Template == nil || ksmScale.Spec.Template.ServiceAccountName == ""
}

// clusterRoleBindings are the wanted bindings of that service account. Secrets have one of their own, since the
// role of a binding cannot be changed.
func clusterRoleBindings(ksmScale *v1alpha1.KSMScale) []*rbacv1ac.ClusterRoleBindingApplyConfiguration {
	name := v1alpha1.ServiceAccountName(ksmScale.Name)
	bindings := []*rbacv1ac.ClusterRoleBindingApplyConfiguration{clusterRoleBinding(ksmScale, name, MonitorClusterRole)}
	if exportsSecrets(ksmScale) {
		// No KSMScale's name has a colon, so that this is no other one's first binding.
		bindings = append(bindings, clusterRoleBinding(ksmScale, name+":secrets", MonitorSecretsClusterRole))
	}
	if ksmScale.Spec.Metrics.AuthFilter {
		bindings = append(bindings, clusterRoleBinding(ksmScale, name+":auth-filter", MonitorAuthFilterClusterRole))
	}
	return bindings
}

func clusterRoleBinding(ksmScale *v1alpha1.KSMScale, name, clusterRole string) *rbacv1ac.ClusterRoleBindingApplyConfiguration {
	return describe(ksmScale, rbacv1ac.ClusterRoleBinding(name), identityLabels(ksmScale)).
		WithRoleRef(rbacv1ac.RoleRef().
			WithAPIGroup(rbacv1.GroupName).WithKind("ClusterRole").WithName(clusterRole)).
		WithSubjects(rbacv1ac.Subject().
			WithKind(rbacv1.ServiceAccountKind).
			WithName(v1alpha1.ServiceAccountName(ksmScale.Name)).
			WithNamespace(ksmScale.Spec.Namespace))
}
