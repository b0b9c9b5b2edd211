package adapter

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/metrics/pkg/apis/external_metrics"
	"sigs.k8s.io/custom-metrics-apiserver/pkg/provider"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/plans"
)

// Plans has the plans of KSMScales, or plans.ErrNotSynced.
type Plans interface {
	// All returns the plan of every KSMScale.
	All(ctx context.Context) ([]plans.Planned, error)
	// Named returns the plan of one KSMScale. The result is false if there is none.
	Named(ctx context.Context, name string) (plans.Planned, bool, error)
}

// Provider answers requests for external metrics from plans. The metrics of a KSMScale are visible only in its
// spec.namespace.
type Provider struct {
	plans Plans
}

var _ provider.ExternalMetricsProvider = (*Provider)(nil)

// NewProvider returns a Provider that serves the given plans.
func NewProvider(plans Plans) *Provider { return &Provider{plans: plans} }

// seriesOf has, for the name of each metric, the function that returns its series of a plan.
var seriesOf = map[string]func(plans.Planned) []series{
	v1alpha1.MetricDesiredReplicas:   desiredReplicas,
	v1alpha1.MetricNodes:             countedNodes,
	v1alpha1.MetricRecommendedShards: recommended(func(r *v1alpha1.Recommendation) int64 { return int64(r.Shards) }),
	v1alpha1.MetricSeries:            recommended(func(r *v1alpha1.Recommendation) int64 { return r.Series }),
}

type series struct {
	labels map[string]string
	value  int64
}

func desiredReplicas(planned plans.Planned) []series {
	shards := planned.AllShards()
	all := make([]series, len(shards))
	for i, shard := range shards {
		all[i] = series{labels: shard.MetricLabels(), value: int64(shard.Replicas)}
	}
	return all
}

func countedNodes(planned plans.Planned) []series {
	return []series{{
		labels: map[string]string{v1alpha1.MetricLabelKSMScale: planned.KSMScale.Name},
		value:  int64(planned.Cluster.Nodes),
	}}
}

// recommended returns a figure of the recommendation in the status. A KSMScale without a recommendation, or without the figure, has no series.
func recommended(figure func(*v1alpha1.Recommendation) int64) func(plans.Planned) []series {
	return func(planned plans.Planned) []series {
		recommendation := planned.KSMScale.Status.Recommendation
		if recommendation == nil {
			return nil
		}
		value := figure(recommendation)
		if value == 0 {
			return nil
		}
		return []series{{labels: map[string]string{v1alpha1.MetricLabelKSMScale: planned.KSMScale.Name}, value: value}}
	}
}

// GetExternalMetric returns the series of a metric in a namespace whose labels match. It never returns an empty list, and
// never zero for ksmscale_desired_replicas. A HorizontalPodAutoscaler that receives an error does not scale; one that reads
// zero scales down. Errors are API status errors: 404 for an unknown metric and for a selector without a match, 503 until
// every node has been counted.
func (p *Provider) GetExternalMetric(ctx context.Context, namespace string, selector labels.Selector, info provider.ExternalMetricInfo) (*external_metrics.ExternalMetricValueList, error) {
	toSeries, known := seriesOf[info.Metric]
	if !known {
		return nil, notFound("the external metric %s does not exist: use one of %s",
			info.Metric, strings.Join(slices.Sorted(maps.Keys(seriesOf)), ", "))
	}
	all, err := p.selected(ctx, selector)
	if errors.Is(err, plans.ErrNotSynced) {
		return nil, apierrors.NewServiceUnavailable(err.Error())
	}
	if err != nil {
		return nil, err
	}

	list := &external_metrics.ExternalMetricValueList{}
	for _, planned := range all {
		if planned.KSMScale.Spec.Namespace != namespace {
			continue
		}
		for _, one := range toSeries(planned) {
			if selector.Matches(labels.Set(one.labels)) {
				list.Items = append(list.Items, external_metrics.ExternalMetricValue{
					MetricName:   info.Metric,
					MetricLabels: one.labels,
					Timestamp:    metav1.NewTime(planned.AsOf),
					Value:        *resource.NewQuantity(one.value, resource.DecimalSI),
				})
			}
		}
	}
	if len(list.Items) == 0 {
		return nil, notFound("no series of %s in namespace %q matches the labels %q: a KSMScale's metrics are in its spec.namespace",
			info.Metric, namespace, selector)
	}
	return list, nil
}

// selected returns the plans that can match a selector. The selector of a HorizontalPodAutoscaler names a KSMScale, and
// only this one has to be planned.
func (p *Provider) selected(ctx context.Context, selector labels.Selector) ([]plans.Planned, error) {
	name, named := selector.RequiresExactMatch(v1alpha1.MetricLabelKSMScale)
	if !named {
		return p.plans.All(ctx)
	}
	planned, exists, err := p.plans.Named(ctx, name)
	if err != nil || !exists {
		return nil, err
	}
	return []plans.Planned{planned}, nil
}

// ListAllExternalMetrics returns the names of the metrics. They do not depend on the existing KSMScales, so discovery does
// not change with them.
func (p *Provider) ListAllExternalMetrics() []provider.ExternalMetricInfo {
	var metrics []provider.ExternalMetricInfo
	for _, name := range slices.Sorted(maps.Keys(seriesOf)) {
		metrics = append(metrics, provider.ExternalMetricInfo{Metric: name})
	}
	return metrics
}

func notFound(format string, args ...any) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusNotFound,
		Reason:  metav1.StatusReasonNotFound,
		Message: fmt.Sprintf(format, args...),
	}}
}
