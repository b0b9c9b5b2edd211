package adapter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/metrics/pkg/apis/external_metrics"
	"k8s.io/metrics/pkg/apis/external_metrics/v1beta1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/custom-metrics-apiserver/pkg/apiserver"
	"sigs.k8s.io/custom-metrics-apiserver/pkg/provider"

	"github.com/example/ksmscale/api/v1alpha1"
)

const (
	// delegateTimeout ends a request to the delegate. The HPA controller has few workers and repeats its request every 15
	// s. Without this timeout, it would wait for the minute after which the API server gives up.
	delegateTimeout = 10 * time.Second
	// delegateRunning is how many requests the delegate receives at a time, and delegateWaiting how many may wait. This
	// server refuses requests from 400 on, which is far more. The running answers limit the memory.
	delegateRunning, delegateWaiting = 10, 100
	// discoveryInterval is the time between two requests for the list of the delegate's metrics. The API server itself
	// requests the list once a minute.
	discoveryInterval = 30 * time.Second
)

// Delegate answers requests for external metrics by sending them to another server of external metrics.
type Delegate struct {
	// name is the address in the form that the user wrote. Errors contain it.
	name     string
	client   *delegateClient
	clock    clock.PassiveClock
	timeout  time.Duration
	admitted *semaphore.Weighted
	running  *semaphore.Weighted
	requests *prometheus.HistogramVec
	// discovered are the metrics in its last successful answer.
	discovered atomic.Pointer[[]provider.ExternalMetricInfo]
	// undiscovered is the logged cause of the last failed discovery; empty after a successful one.
	undiscovered string
}

var _ provider.ExternalMetricsProvider = (*Delegate)(nil)

// NewDelegate returns a Delegate. It uses the credentials of the adapter at its API server. Call Run to discover its
// metrics.
func NewDelegate(adapterConfig *rest.Config, options *DelegateOptions, clock clock.PassiveClock) (*Delegate, error) {
	client, err := newDelegateClient(adapterConfig, options)
	if err != nil {
		return nil, err
	}
	d := &Delegate{
		name: options.Address, client: client, clock: clock, timeout: delegateTimeout,
		admitted: semaphore.NewWeighted(delegateRunning + delegateWaiting), running: semaphore.NewWeighted(delegateRunning),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ksmscale_delegated_request_duration_seconds",
			Help: "Time that requests to the server of --delegate took, by kind of request and code of the answer.",
		}, []string{"request", "code"}),
	}
	d.discovered.Store(new([]provider.ExternalMetricInfo))
	return d, nil
}

// Run discovers the delegate's metrics, and follows the file of its CAs, until the context is done.
func (d *Delegate) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { d.client.Run(ctx) })
	wait.JitterUntilWithContext(ctx, d.discover, discoveryInterval, 0.1, false)
}

// GetExternalMetric returns the delegate's answer, including its errors. If the delegate does not answer, or its answer
// has no metrics, the error is an API status error that names the delegate.
func (d *Delegate) GetExternalMetric(ctx context.Context, namespace string, selector labels.Selector, info provider.ExternalMetricInfo) (*external_metrics.ExternalMetricValueList, error) {
	if !d.admitted.TryAcquire(1) {
		return nil, d.unavailable("has too many requests in progress")
	}
	defer d.admitted.Release(1)
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	if err := d.running.Acquire(ctx, 1); err != nil {
		return nil, d.failed(ctx, err, 0)
	}
	defer d.running.Release(1)

	values, err := ask[*v1beta1.ExternalMetricValueList](ctx, d, "values", d.client.get().
		Namespace(namespace).Resource(info.Metric).
		VersionedParams(&metav1.ListOptions{LabelSelector: selector.String()}, metav1.ParameterCodec))
	if err != nil {
		return nil, err
	}
	list := &external_metrics.ExternalMetricValueList{}
	if err := apiserver.Scheme.Convert(values, list, nil); err != nil {
		return nil, d.wrong("sent invalid values: " + err.Error())
	}
	return list, nil
}

// ListAllExternalMetrics returns the metrics of the delegate's last answer, without a request.
func (d *Delegate) ListAllExternalMetrics() []provider.ExternalMetricInfo {
	return *d.discovered.Load()
}

// discover requests the names of the delegate's metrics. It keeps the last list if the delegate does not answer.
func (d *Delegate) discover(ctx context.Context) {
	asking, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	resources, err := ask[*metav1.APIResourceList](asking, d, "discovery", d.client.get().AbsPath("/apis", v1beta1.SchemeGroupVersion.Group, v1beta1.SchemeGroupVersion.Version))
	logger := klog.FromContext(ctx).WithValues("delegate", d.name)
	if err != nil {
		if d.undiscovered != err.Error() && ctx.Err() == nil {
			d.undiscovered = err.Error()
			logger.Info("Cannot discover the metrics of the delegate; the last known metrics stay listed", "reason", d.undiscovered)
		}
		return
	}
	metrics := othersMetrics(resources.APIResources)
	if known := d.discovered.Swap(&metrics); d.undiscovered != "" || len(*known) != len(metrics) {
		logger.Info("Discovered the metrics of the delegate", "metrics", len(metrics))
	}
	d.undiscovered = ""
}

// othersMetrics are the metrics of an API, except metrics with the prefix of KSMScale's own metrics.
func othersMetrics(resources []metav1.APIResource) []provider.ExternalMetricInfo {
	metrics := []provider.ExternalMetricInfo{}
	seen := sets.New[string]()
	for _, resource := range resources {
		if resource.Name == "" || isOwn(resource.Name) || seen.Has(resource.Name) {
			continue
		}
		seen.Insert(resource.Name)
		metrics = append(metrics, provider.ExternalMetricInfo{Metric: resource.Name})
	}
	return metrics
}

// ask sends a request and returns the object of the answer, which must be of type T.
func ask[T runtime.Object](ctx context.Context, d *Delegate, kind string, request *rest.Request) (T, error) {
	started := d.clock.Now()
	object, err := answered[T](ctx, d, request)
	code := int32(http.StatusOK)
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		code = status.Status().Code
	}
	d.requests.WithLabelValues(kind, strconv.Itoa(int(code))).Observe(d.clock.Since(started).Seconds())
	return object, err
}

func answered[T runtime.Object](ctx context.Context, d *Delegate, request *rest.Request) (T, error) {
	var none T
	result := request.Do(ctx)
	var code int
	result.StatusCode(&code)
	object, err := result.Get()
	if err != nil {
		return none, d.failed(ctx, err, int32(code))
	}
	typed, ok := object.(T)
	if !ok {
		return none, d.wrong(fmt.Sprintf("sent a %T", object))
	}
	return typed, nil
}

// delegating requests the metrics of KSMScale from own, and all other metrics from others.
type delegating struct {
	own, others provider.ExternalMetricsProvider
}

// GetExternalMetric is part of provider.ExternalMetricsProvider.
func (d delegating) GetExternalMetric(ctx context.Context, namespace string, selector labels.Selector, info provider.ExternalMetricInfo) (*external_metrics.ExternalMetricValueList, error) {
	if isOwn(info.Metric) {
		return d.own.GetExternalMetric(ctx, namespace, selector, info)
	}
	return d.others.GetExternalMetric(ctx, namespace, selector, info)
}

// ListAllExternalMetrics is part of provider.ExternalMetricsProvider.
func (d delegating) ListAllExternalMetrics() []provider.ExternalMetricInfo {
	return append(d.own.ListAllExternalMetrics(), d.others.ListAllExternalMetrics()...)
}

func isOwn(metric string) bool { return strings.HasPrefix(metric, v1alpha1.MetricPrefix) }
