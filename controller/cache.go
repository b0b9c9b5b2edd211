package controller

import (
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/util/runtime"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
)

// cacheOptions limit the cache, so it does not grow with the cluster. Of most kinds it has the objects with the label of a KSMScale. It
// has only the Secrets in the namespace of the controller. Nodes have a store of their own, see nodes.Counter.
func cacheOptions(namespace string) cache.Options {
	return cache.Options{ByObject: map[client.Object]cache.ByObject{
		&corev1.Pod{}:                            {Label: ofAnyKSMScale(), Transform: cache.TransformStripManagedFields()},
		&corev1.Service{}:                        {Label: ofAnyKSMScale()},
		&corev1.ServiceAccount{}:                 {Label: ofAnyKSMScale()},
		&appsv1.Deployment{}:                     {Label: ofAnyKSMScale()},
		&autoscalingv2.HorizontalPodAutoscaler{}: {Label: ofAnyKSMScale()},
		&policyv1.PodDisruptionBudget{}:          {Label: ofAnyKSMScale()},
		&rbacv1.ClusterRoleBinding{}:             {Label: ofAnyKSMScale()},
		&corev1.Secret{}:                         {Namespaces: map[string]cache.Config{namespace: {}}},
		&apiregistrationv1.APIService{}:          {Field: fields.OneTermEqualSelector("metadata.name", v1alpha1.APIServiceName)},
	}}
}

// ofAnyKSMScale selects the objects of all KSMScales.
func ofAnyKSMScale() labels.Selector {
	exists, err := labels.NewRequirement(v1alpha1.LabelKSMScale, selection.Exists, nil)
	runtime.Must(err)
	return labels.NewSelector().Add(*exists)
}
