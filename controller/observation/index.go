package observation

import (
	"context"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
)

// indexOfKSMScales is the name of an index in the cache.
const indexOfKSMScales = "ksmScale"

// Indexed are the kinds of objects that the cache has by their KSMScale.
func Indexed() []client.Object {
	return []client.Object{
		&appsv1.Deployment{}, &corev1.Service{}, &corev1.Pod{}, &autoscalingv2.HorizontalPodAutoscaler{},
		&policyv1.PodDisruptionBudget{}, &rbacv1.ClusterRoleBinding{},
	}
}

// Index is the name of the index of a kind, and the function that returns the KSMScale of an object.
func Index() (name string, of client.IndexerFunc) {
	return indexOfKSMScales, func(object client.Object) []string {
		if ksmScale, ok := object.GetLabels()[v1alpha1.LabelKSMScale]; ok {
			return []string{ksmScale}
		}
		return nil
	}
}

// AddIndexes lets a cache list the objects of one KSMScale without reading the objects of all others.
func AddIndexes(ctx context.Context, indexer client.FieldIndexer) error {
	var errs []error
	name, of := Index()
	for _, object := range Indexed() {
		if err := indexer.IndexField(ctx, object, name, of); err != nil {
			errs = append(errs, fmt.Errorf("index %T: %w", object, err))
		}
	}
	return errors.Join(errs...)
}

// OfKSMScale selects the objects whose label names a KSMScale, in a cache with the indexes.
func OfKSMScale(name string) client.ListOption {
	return client.MatchingFields{indexOfKSMScales: name}
}

// LabelledKSMScale selects the same objects at the API server, which has no indexes.
func LabelledKSMScale(name string) client.ListOption {
	return client.MatchingLabels{v1alpha1.LabelKSMScale: name}
}
