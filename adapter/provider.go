package adapter

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/metrics/pkg/apis/external_metrics"
	"sigs.k8s.io/custom-metrics-apiserver/pkg/provider"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/plans"
)

// Plans has the plan of every KSMScale, or plans.ErrNotSynced.
type Plans interface {
	All(ctx context.Context) ([]plans.Planned, error)
}

// Provider answers requests for external metrics from plans. A KSMScale's metrics are visible in its own
// spec.namespace only.
type Provider struct {
	plans Plans
}

var _ provider.ExternalMetricsProvider = (*Provider)(nil)

// NewProvider returns a Provider of metrics of the given plans.
func NewProvider(plans Plans) *Provider { return &Provider{plans: plans} }

// seriesOf has, under the name of each metric, the series that a plan makes of it.
var seriesOf = map[string]func(plans.Planned) []series{
	v1alpha1.MetricDesiredReplicas: desiredReplicas,
	v1alpha1.MetricNodes:           countedNodes,
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

// GetExternalMetric returns the series of a metric in a namespace whose labels match. It never returns an empty
// list, and a zero only for ksmscale_nodes: a HorizontalPodAutoscaler that gets an error holds still, one that
// reads zero scales down. Errors are API status errors: 404 for an unknown metric and for a selector that
// matches nothing, 503 until every node has been counted.
func (p *Provider) GetExternalMetric(ctx context.Context, namespace string, selector labels.Selector, info provider.ExternalMetricInfo) (*external_metrics.ExternalMetricValueList, error) {
	seriesOf, known := seriesOf[info.Metric]
	if !known {
		return nil, notFound("there is no external metric %s: ask for %s or %s",
			info.Metric, v1alpha1.MetricDesiredReplicas, v1alpha1.MetricNodes)
	}
	all, err := p.plans.All(ctx)
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
		for _, one := range seriesOf(planned) {
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

// ListAllExternalMetrics returns the names of the metrics, whatever KSMScales there are, so that discovery does
// not change with them.
func (p *Provider) ListAllExternalMetrics() []provider.ExternalMetricInfo {
	return []provider.ExternalMetricInfo{{Metric: v1alpha1.MetricDesiredReplicas}, {Metric: v1alpha1.MetricNodes}}
}

func notFound(format string, args ...any) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusNotFound,
		Reason:  metav1.StatusReasonNotFound,
		Message: fmt.Sprintf(format, args...),
	}}
}
