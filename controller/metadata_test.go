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
	"github.com/example/ksmscale/controller/fixtures"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/controller/observation"
)

// prometheusOperator is an API server that has the kinds of the Prometheus Operator.
type prometheusOperator struct{}

func (prometheusOperator) ServerResourcesForGroupVersion(string) (*metav1.APIResourceList, error) {
	var resources metav1.APIResourceList
	for _, kind := range observation.MonitorKinds {
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
		meta := objects.As[metav1.PartialObjectMetadata](object)
		kinds.Insert(meta.Kind)
		assert.Equal(t, "a", meta.Labels["example.com/team"], meta.Kind)
		assert.Equal(t, "main", meta.Labels[v1alpha1.LabelKSMScale], "%s is still found", meta.Kind)
		assert.Equal(t, "b", meta.Annotations["example.com/owner"], meta.Kind)
		return c.Apply(ctx, object, options...)
	}})
	r.Uncached = r.Client
	for _, kind := range []v1alpha1.MonitoringType{v1alpha1.MonitoringScrapeConfig, v1alpha1.MonitoringServiceMonitor} {
		update(t, r, func(k *v1alpha1.KSMScale) {
			k.Spec.CommonLabels = map[string]v1alpha1.LabelValue{"example.com/team": "a", "release": "common"}
			k.Spec.CommonAnnotations = map[string]v1alpha1.AnnotationValue{"example.com/owner": "b"}
			k.Spec.Monitoring = v1alpha1.MonitoringConfig{Type: kind, Rules: true, Labels: map[string]v1alpha1.LabelValue{"release": "prometheus"}}
			k.Spec.Metrics.AuthFilter = true
		})
		r.Monitors = observation.NewMonitors(prometheusOperator{}, r.Client, r.Client, clocktesting.NewFakeClock(fixtures.Time), func() {})
		require.NoError(t, r.Monitors.Poll(t.Context()))
		reconcileTimes(t, r, 1)
	}
	assert.ElementsMatch(t, []string{
		"ServiceAccount", "ClusterRoleBinding", "Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler",
		"ScrapeConfig", "ServiceMonitor", "PrometheusRule",
	}, kinds.UnsortedList())
}

func TestCommonMetadataRestartsNoPod(t *testing.T) {
	common := fixtures.KSMScale(func(k *v1alpha1.KSMScale) {
		k.Spec.CommonLabels = map[string]v1alpha1.LabelValue{"example.com/team": "a"}
		k.Spec.CommonAnnotations = map[string]v1alpha1.AnnotationValue{"example.com/owner": "b"}
	})
	assert.Equal(t, objects.Deployment(fixtures.KSMScale(), fixtures.Planned(0), objects.GateOptions{Image: fixtures.GateImage}).Spec, objects.Deployment(common, fixtures.Planned(0), objects.GateOptions{Image: fixtures.GateImage}).Spec)
	assert.Equal(t, objects.Service(fixtures.KSMScale(), fixtures.Shard(0)).Spec, objects.Service(common, fixtures.Shard(0)).Spec)
	assert.Equal(t, objects.DisruptionBudget(fixtures.KSMScale(), fixtures.Shard(0)).Spec, objects.DisruptionBudget(common, fixtures.Shard(0)).Spec)
	assert.Equal(t, objects.Autoscaler(fixtures.KSMScale(), fixtures.Shard(0), true).Spec, objects.Autoscaler(common, fixtures.Shard(0), true).Spec)
}

// More specific labels win, and labels that are no longer desired go.
func TestCommonMetadataThatChanges(t *testing.T) {
	r, _ := newReconciler(t, planner{nodes: 60}, nil)
	monitored := fixtures.KSMScale(func(k *v1alpha1.KSMScale) {
		k.Spec.CommonLabels = map[string]v1alpha1.LabelValue{"release": "common"}
		k.Spec.Monitoring.Labels = map[string]v1alpha1.LabelValue{"release": "prometheus"}
	})
	assert.Equal(t, "prometheus", objects.ServiceMonitor(monitored).Labels["release"])

	update(t, r, func(k *v1alpha1.KSMScale) {
		k.Spec.CommonLabels = map[string]v1alpha1.LabelValue{"a": "1", "b": "1"}
	})
	reconcileTimes(t, r, 1)
	update(t, r, func(k *v1alpha1.KSMScale) { k.Spec.CommonLabels = map[string]v1alpha1.LabelValue{"b": "2"} })
	reconcileTimes(t, r, 1)
	deployment := &appsv1.Deployment{}
	require.NoError(t, r.Client.Get(t.Context(), client.ObjectKey{Namespace: "monitoring", Name: fixtures.Shard(0).Name()}, deployment))
	assert.NotContains(t, deployment.Labels, "a")
	assert.Equal(t, "2", deployment.Labels["b"])
}
