package controller

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/example/ksmscale/api/v1alpha1"
)

// prometheusOperator is an API server that has the kinds of the Prometheus Operator.
type prometheusOperator struct{}

func (prometheusOperator) ServerResourcesForGroupVersion(string) (*metav1.APIResourceList, error) {
	var resources metav1.APIResourceList
	for _, kind := range monitorKinds {
		resources.APIResources = append(resources.APIResources, metav1.APIResource{Kind: kind.Kind})
	}
	return &resources, nil
}

func TestEveryObjectHasTheCommonMetadata(t *testing.T) {
	r, _ := newReconciler(t, planner{nodes: 60}, nil)
	live, ok := r.Client.(client.WithWatch)
	require.True(t, ok)
	kinds := sets.New[string]()
	r.Client = interceptor.NewClient(live, interceptor.Funcs{Apply: func(ctx context.Context, c client.WithWatch, object runtime.ApplyConfiguration, options ...client.ApplyOption) error {
		meta := as[metav1.PartialObjectMetadata](object)
		kinds.Insert(meta.Kind)
		assert.Equal(t, "a", meta.Labels["example.com/team"], meta.Kind)
		assert.Equal(t, "main", meta.Labels[v1alpha1.LabelKSMScale], "%s is still found", meta.Kind)
		assert.Equal(t, "b", meta.Annotations["example.com/owner"], meta.Kind)
		return c.Apply(ctx, object, options...)
	}})
	for _, kind := range []v1alpha1.MonitoringType{v1alpha1.MonitoringScrapeConfig, v1alpha1.MonitoringServiceMonitor} {
		update(t, r, func(k *v1alpha1.KSMScale) {
			k.Spec.CommonLabels = map[string]v1alpha1.LabelValue{"example.com/team": "a", "release": "common"}
			k.Spec.CommonAnnotations = map[string]v1alpha1.AnnotationValue{"example.com/owner": "b"}
			k.Spec.Monitoring = v1alpha1.MonitoringConfig{Type: kind, Rules: true, Labels: map[string]v1alpha1.LabelValue{"release": "prometheus"}}
			k.Spec.Metrics.AuthFilter = true
		})
		r.Monitors = NewMonitors(prometheusOperator{}, r.Client, r.Client, clocktesting.NewFakeClock(testTime), func() {})
		require.NoError(t, r.Monitors.look(t.Context()))
		reconcileTimes(t, r, 1)
	}
	assert.ElementsMatch(t, []string{
		"ServiceAccount", "ClusterRoleBinding", "Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler",
		"ScrapeConfig", "ServiceMonitor", "PrometheusRule",
	}, kinds.UnsortedList())
}

func TestCommonMetadataRestartsNoPod(t *testing.T) {
	common := ksmScaleWith(func(k *v1alpha1.KSMScale) {
		k.Spec.CommonLabels = map[string]v1alpha1.LabelValue{"example.com/team": "a"}
		k.Spec.CommonAnnotations = map[string]v1alpha1.AnnotationValue{"example.com/owner": "b"}
	})
	assert.Equal(t, deployment(ksmScaleWith(), planned(0), testGateImage).Spec, deployment(common, planned(0), testGateImage).Spec)
	assert.Equal(t, service(ksmScaleWith(), shard(0)).Spec, service(common, shard(0)).Spec)
	assert.Equal(t, disruptionBudget(ksmScaleWith(), shard(0)).Spec, disruptionBudget(common, shard(0)).Spec)
	assert.Equal(t, autoscaler(ksmScaleWith(), shard(0), true).Spec, autoscaler(common, shard(0), true).Spec)
}

// More specific labels win, and labels that are no longer desired go.
func TestCommonMetadataThatChanges(t *testing.T) {
	r, _ := newReconciler(t, planner{nodes: 60}, nil)
	monitored := ksmScaleWith(func(k *v1alpha1.KSMScale) {
		k.Spec.CommonLabels = map[string]v1alpha1.LabelValue{"release": "common"}
		k.Spec.Monitoring.Labels = map[string]v1alpha1.LabelValue{"release": "prometheus"}
	})
	assert.Equal(t, "prometheus", serviceMonitor(monitored).Labels["release"])

	update(t, r, func(k *v1alpha1.KSMScale) {
		k.Spec.CommonLabels = map[string]v1alpha1.LabelValue{"a": "1", "b": "1"}
	})
	reconcileTimes(t, r, 1)
	update(t, r, func(k *v1alpha1.KSMScale) { k.Spec.CommonLabels = map[string]v1alpha1.LabelValue{"b": "2"} })
	reconcileTimes(t, r, 1)
	deployment := &appsv1.Deployment{}
	require.NoError(t, r.Client.Get(t.Context(), client.ObjectKey{Namespace: "monitoring", Name: shard(0).Name()}, deployment))
	assert.NotContains(t, deployment.Labels, "a")
	assert.Equal(t, "2", deployment.Labels["b"])
}
