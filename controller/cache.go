package controller

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/util/runtime"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objects"
)

// cacheOptions limit the cache, so it does not grow with the cluster. Of most kinds it has the objects with the label of a KSMScale. It
// has only one Secret, the certificate of the adapter. Nodes have a store of their own, see nodes.Counter.
func cacheOptions(certificate client.ObjectKey) cache.Options {
	return cache.Options{DefaultTransform: withOwnManagedFields, ByObject: map[client.Object]cache.ByObject{
		&corev1.Pod{}:                            {Label: ofAnyKSMScale(), Transform: cache.TransformStripManagedFields()},
		&corev1.Service{}:                        {Label: ofAnyKSMScale()},
		&corev1.ServiceAccount{}:                 {Label: ofAnyKSMScale()},
		&appsv1.Deployment{}:                     {Label: ofAnyKSMScale()},
		&autoscalingv2.HorizontalPodAutoscaler{}: {Label: ofAnyKSMScale()},
		&policyv1.PodDisruptionBudget{}:          {Label: ofAnyKSMScale()},
		&rbacv1.ClusterRoleBinding{}:             {Label: ofAnyKSMScale()},
		&corev1.Secret{}: {
			Namespaces: map[string]cache.Config{certificate.Namespace: {}},
			Field:      fields.OneTermEqualSelector("metadata.name", certificate.Name),
		},
		&apiregistrationv1.APIService{}: {Field: fields.OneTermEqualSelector("metadata.name", v1alpha1.APIServiceName)},
	}}
}

// withOwnManagedFields removes the managed fields of others, which are often larger than the rest of an object. The controller compares
// objects by its own.
func withOwnManagedFields(obj any) (any, error) {
	object, err := meta.Accessor(obj)
	if err != nil {
		return obj, nil //nolint:nilerr // Not an object, but the note of a deletion that the watch missed.
	}
	object.SetManagedFields(slices.DeleteFunc(object.GetManagedFields(), func(entry metav1.ManagedFieldsEntry) bool {
		return entry.Manager != objects.FieldOwner || entry.Subresource != ""
	}))
	return obj, nil
}

// ofAnyKSMScale selects the objects of all KSMScales.
func ofAnyKSMScale() labels.Selector {
	exists, err := labels.NewRequirement(v1alpha1.LabelKSMScale, selection.Exists, nil)
	runtime.Must(err)
	return labels.NewSelector().Add(*exists)
}
