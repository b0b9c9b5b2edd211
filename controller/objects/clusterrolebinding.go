package objects

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	rbacv1ac "k8s.io/client-go/applyconfigurations/rbac/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

// ClusterRoleBindings returns the desired bindings of the service account of a KSMScale.
func ClusterRoleBindings(ksmScale *v1alpha1.KSMScale) []*rbacv1ac.ClusterRoleBindingApplyConfiguration {
	var bindings []*rbacv1ac.ClusterRoleBindingApplyConfiguration
	for _, role := range grants {
		if role.desired(ksmScale) {
			bindings = append(bindings, clusterRoleBinding(ksmScale, v1alpha1.ServiceAccountName(ksmScale.Name)+role.suffix, role.clusterRole))
		}
	}
	return bindings
}

// UsedBindings returns the names of the bindings that running pods use. The argument anyPod reports whether some pod meets a condition. A
// used binding stays if it exists. The controller creates no binding because of a pod, because that would give rights to anyone who
// creates pods.
func UsedBindings(ksmScale *v1alpha1.KSMScale, anyPod func(uses func(*corev1.PodSpec) bool) bool) sets.Set[string] {
	account := v1alpha1.ServiceAccountName(ksmScale.Name)
	names := sets.New[string]()
	for _, role := range grants {
		if anyPod(func(pod *corev1.PodSpec) bool { return pod.ServiceAccountName == account && role.used(pod) }) {
			names.Insert(account + role.suffix)
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

// Cluster roles of the installation for kube-state-metrics. The controller may bind only these.
const (
	// MonitorClusterRole lists and watches every resource that kube-state-metrics can export, except Secrets.
	MonitorClusterRole = "ksmscale-kube-state-metrics"
	// MonitorSecretsClusterRole lists and watches Secrets.
	MonitorSecretsClusterRole = "ksmscale-kube-state-metrics-secrets"
	// MonitorAuthFilterClusterRole reviews the token and the rights of a client, and gets metrics.
	MonitorAuthFilterClusterRole = "ksmscale-kube-state-metrics-auth-filter"
)

// roleGrant is a cluster role that the service account of a KSMScale can have. Each role has its own binding, because the role of a binding
// cannot be changed.
type roleGrant struct {
	// suffix ends the name of the binding. The name of a KSMScale has no colon, so each binding belongs to one KSMScale.
	suffix, clusterRole string
	// desired reports whether the spec of a KSMScale needs the role, and used reports whether a pod needs it.
	desired func(*v1alpha1.KSMScale) bool
	used    func(*corev1.PodSpec) bool
}

var grants = []roleGrant{
	{"", MonitorClusterRole, func(*v1alpha1.KSMScale) bool { return true }, func(*corev1.PodSpec) bool { return true }},
	{":secrets", MonitorSecretsClusterRole, exportsSecrets, listsSecrets},
	{":auth-filter", MonitorAuthFilterClusterRole, func(k *v1alpha1.KSMScale) bool { return k.Spec.Metrics.AuthFilter }, filtersRequests},
}

// listsSecrets reports whether the kube-state-metrics of a pod exports Secrets.
func listsSecrets(pod *corev1.PodSpec) bool {
	return slices.Contains(listedIn(argsOf(pod), resourcesFlag), secretsResource)
}

// filtersRequests reports whether the kube-state-metrics of a pod reviews the rights of its clients.
func filtersRequests(pod *corev1.PodSpec) bool {
	return slices.Contains(argsOf(pod), authFilterFlag)
}

// argsOf returns the arguments of kube-state-metrics in a pod.
func argsOf(pod *corev1.PodSpec) []string {
	for i := range pod.Containers {
		if pod.Containers[i].Name == ContainerName {
			return pod.Containers[i].Args
		}
	}
	return nil
}
