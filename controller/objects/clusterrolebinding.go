package objects

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	rbacv1ac "k8s.io/client-go/applyconfigurations/rbac/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

// ClusterRoleBindings are the desired bindings of that service account.
func ClusterRoleBindings(ksmScale *v1alpha1.KSMScale) []*rbacv1ac.ClusterRoleBindingApplyConfiguration {
	var bindings []*rbacv1ac.ClusterRoleBindingApplyConfiguration
	for _, grant := range grants {
		if grant.desired(ksmScale) {
			bindings = append(bindings, clusterRoleBinding(ksmScale, v1alpha1.ServiceAccountName(ksmScale.Name)+grant.suffix, grant.clusterRole))
		}
	}
	return bindings
}

// UsedBindings are the names of the bindings that pods under that service account need; anyPod tells whether some pod meets a
// condition. Such bindings stay if they exist. They are not created for pods: whoever creates pods would get rights by it.
func UsedBindings(ksmScale *v1alpha1.KSMScale, anyPod func(uses func(*corev1.PodSpec) bool) bool) sets.Set[string] {
	account := v1alpha1.ServiceAccountName(ksmScale.Name)
	names := sets.New[string]()
	for _, grant := range grants {
		if anyPod(func(pod *corev1.PodSpec) bool { return pod.ServiceAccountName == account && grant.used(pod) }) {
			names.Insert(account + grant.suffix)
		}
	}
	return names
}

func clusterRoleBinding(ksmScale *v1alpha1.KSMScale, name, clusterRole string) *rbacv1ac.ClusterRoleBindingApplyConfiguration {
	return describe(ksmScale, rbacv1ac.ClusterRoleBinding(name), IdentityLabels(ksmScale)).
		WithRoleRef(rbacv1ac.RoleRef().
			WithAPIGroup(rbacv1.GroupName).WithKind("ClusterRole").WithName(clusterRole)).
		WithSubjects(rbacv1ac.Subject().
			WithKind(rbacv1.ServiceAccountKind).
			WithName(v1alpha1.ServiceAccountName(ksmScale.Name)).
			WithNamespace(ksmScale.Spec.Namespace))
}

// Cluster roles that the installation has for kube-state-metrics. The controller may bind just these.
const (
	// MonitorClusterRole lists and watches all that kube-state-metrics can export but Secrets.
	MonitorClusterRole = "ksmscale-kube-state-metrics"
	// MonitorSecretsClusterRole lists and watches Secrets.
	MonitorSecretsClusterRole = "ksmscale-kube-state-metrics-secrets"
	// MonitorAuthFilterClusterRole asks who a caller is and what it may, and gets metrics.
	MonitorAuthFilterClusterRole = "ksmscale-kube-state-metrics-auth-filter"
)

// grant is a cluster role that the service account of a KSMScale can be bound to. Each has a binding of its own, because the role of
// a binding cannot be changed.
type grant struct {
	// suffix ends the name of the binding. No KSMScale's name has a colon, so no other KSMScale has a binding of that name.
	suffix, clusterRole string
	// desired tells whether the spec of a KSMScale asks for it, and used whether a pod with some spec needs it.
	desired func(*v1alpha1.KSMScale) bool
	used    func(*corev1.PodSpec) bool
}

var grants = []grant{
	{"", MonitorClusterRole, func(*v1alpha1.KSMScale) bool { return true }, func(*corev1.PodSpec) bool { return true }},
	{":secrets", MonitorSecretsClusterRole, exportsSecrets, listsSecrets},
	{":auth-filter", MonitorAuthFilterClusterRole, func(k *v1alpha1.KSMScale) bool { return k.Spec.Metrics.AuthFilter }, filtersRequests},
}

// listsSecrets tells whether the kube-state-metrics of a pod exports Secrets.
func listsSecrets(pod *corev1.PodSpec) bool {
	return slices.Contains(listedIn(monitorArgs(pod), resourcesFlag), secretsResource)
}

// filtersRequests tells whether the kube-state-metrics of a pod asks who reads its metrics.
func filtersRequests(pod *corev1.PodSpec) bool {
	return slices.Contains(monitorArgs(pod), authFilterFlag)
}

func monitorArgs(pod *corev1.PodSpec) []string {
	for i := range pod.Containers {
		if pod.Containers[i].Name == ContainerName {
			return pod.Containers[i].Args
		}
	}
	return nil
}
