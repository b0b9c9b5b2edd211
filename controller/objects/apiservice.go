package objects

import (
	rbacv1 "k8s.io/api/rbac/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	apiregistrationv1ac "k8s.io/kube-aggregator/pkg/client/applyconfiguration/apiregistration/v1"
	"k8s.io/metrics/pkg/apis/external_metrics/v1beta1"

	"github.com/example/ksmscale/api/v1alpha1"
)

const (
	// AdapterClusterRole is the cluster role of the adapter. It owns the APIService, because every tool that uninstalls KSMScale
	// deletes it. The namespace cannot own the APIService: the deletion of a namespace waits until every APIService is served.
	AdapterClusterRole = "ksmscale-adapter"

	apiServicePriority = 100
)

// APIService returns the desired APIService. It registers the adapter as the server of external metrics. A CA of the bundle has signed the
// certificate of the adapter.
func APIService(adapter v1alpha1.ServiceReference, bundle []byte, owner *rbacv1.ClusterRole) *apiregistrationv1ac.APIServiceApplyConfiguration {
	return apiregistrationv1ac.APIService(v1alpha1.APIServiceName).
		WithLabels(map[string]string{"app.kubernetes.io/name": "ksmscale", "app.kubernetes.io/component": "adapter"}).
		WithOwnerReferences(metav1ac.OwnerReference().
			WithAPIVersion(rbacv1.SchemeGroupVersion.String()).WithKind("ClusterRole").
			WithName(owner.Name).WithUID(owner.UID)).
		WithSpec(apiregistrationv1ac.APIServiceSpec().
			WithGroup(v1beta1.SchemeGroupVersion.Group).
			WithVersion(v1beta1.SchemeGroupVersion.Version).
			WithGroupPriorityMinimum(apiServicePriority).
			WithVersionPriority(apiServicePriority).
			WithCABundle(bundle...).
			WithService(apiregistrationv1ac.ServiceReference().
				WithNamespace(adapter.Namespace).WithName(adapter.Name).WithPort(adapter.Port)))
}

// IsServedBy reports whether a Service serves an APIService.
func IsServedBy(apiService *apiregistrationv1.APIService, service v1alpha1.ServiceReference) bool {
	server := apiService.Spec.Service
	return server != nil && server.Namespace == service.Namespace && server.Name == service.Name
}
