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
	// delegateTimeout ends a request to the delegate. The HPA controller, which has few workers and asks again every
	// 15 s, would otherwise be held up for the minute after which the API server gives up.
	delegateTimeout = 10 * time.Second
	// delegateRunning is how many requests the delegate gets at a time, and delegateWaiting how many may wait for their
	// turn, far fewer than the 400 at which this server begins to refuse any. Answers under way bound the memory.
	delegateRunning, delegateWaiting = 10, 100
	// discoveryInterval is the time between looks at which metrics the delegate has. The API server itself looks once
	// a minute.
	discoveryInterval = 30 * time.Second
)

// Delegate answers requests for external metrics by asking another server of them.
type Delegate struct {
	// name is how the user named it, and errors name it.
	name     string
	client   *delegateClient
	clock    clock.PassiveClock
	timeout  time.Duration
	admitted *semaphore.Weighted
	running  *semaphore.Weighted
	requests *prometheus.HistogramVec
	// discovered are the metrics that it had when it was last asked successfully.
	discovered atomic.Pointer[[]provider.ExternalMetricInfo]
	// undiscovered is why that was not the last time, as it was logged.
	undiscovered string
}

var _ provider.ExternalMetricsProvider = (*Delegate)(nil)

// NewDelegate returns a Delegate that is asked with the credentials that the adapter has at its API server. Run must
// be called for its metrics to be discovered.
func NewDelegate(own *rest.Config, options *DelegateOptions, clock clock.PassiveClock) (*Delegate, error) {
	client, err := newDelegateClient(own, options)
	if err != nil {
		return nil, err
	}
	d := &Delegate{
		name: options.Address, client: client, clock: clock, timeout: delegateTimeout,
		admitted: semaphore.NewWeighted(delegateRunning + delegateWaiting), running: semaphore.NewWeighted(delegateRunning),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ksmscale_delegated_request_duration_seconds",
			Help: "Time that requests to the server of --delegate took, by what was asked for and the code that was answered.",
		}, []string{"request", "code"}),
	}
	d.discovered.Store(new([]provider.ExternalMetricInfo))
	return d, nil
}

// Run discovers the delegate's metrics, and follows the file of its authorities, until the context is done.
func (d *Delegate) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { d.client.Run(ctx) })
	wait.JitterUntilWithContext(ctx, d.discover, discoveryInterval, 0.1, false)
}

// GetExternalMetric returns what the delegate answers, an error included. If it does not answer, or not with metrics,
// the error is an API status error that names it.
func (d *Delegate) GetExternalMetric(ctx context.Context, namespace string, selector labels.Selector, info provider.ExternalMetricInfo) (*external_metrics.ExternalMetricValueList, error) {
	if !d.admitted.TryAcquire(1) {
		return nil, d.unavailable("has too many requests to answer already")
	}
	defer d.admitted.Release(1)
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	if err := d.running.Acquire(ctx, 1); err != nil {
		return nil, d.failed(ctx, err, 0)
	}
	defer d.running.Release(1)

	answer, err := ask[*v1beta1.ExternalMetricValueList](ctx, d, "values", d.client.get().
		Namespace(namespace).Resource(info.Metric).
		VersionedParams(&metav1.ListOptions{LabelSelector: selector.String()}, metav1.ParameterCodec))
	if err != nil {
		return nil, err
	}
	list := &external_metrics.ExternalMetricValueList{}
	if err := apiserver.Scheme.Convert(answer, list, nil); err != nil {
		return nil, d.wrong("answered with values that cannot be used: " + err.Error())
	}
	return list, nil
}

// ListAllExternalMetrics returns the metrics that the delegate had when it was last asked, at once.
func (d *Delegate) ListAllExternalMetrics() []provider.ExternalMetricInfo {
	return *d.discovered.Load()
}

// discover asks the delegate for the names of its metrics, and keeps those known so far if it does not answer.
func (d *Delegate) discover(ctx context.Context) {
	asking, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	resources, err := ask[*metav1.APIResourceList](asking, d, "discovery", d.client.get().AbsPath("/apis", v1beta1.SchemeGroupVersion.Group, v1beta1.SchemeGroupVersion.Version))
	logger := klog.FromContext(ctx).WithValues("delegate", d.name)
	if err != nil {
		if d.undiscovered != err.Error() && ctx.Err() == nil {
			d.undiscovered = err.Error()
			logger.Info("Cannot discover the metrics of the delegate; those known so far stay listed", "reason", d.undiscovered)
		}
		return
	}
	metrics := othersMetrics(resources.APIResources)
	if known := d.discovered.Swap(&metrics); d.undiscovered != "" || len(*known) != len(metrics) {
		logger.Info("Discovered the metrics of the delegate", "metrics", len(metrics))
	}
	d.undiscovered = ""
}

// othersMetrics are the metrics that an API has, but for those that would be taken for ours.
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

// ask sends a request and returns the object that is answered, which must be of type T.
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
	wanted, ok := object.(T)
	if !ok {
		return none, d.wrong(fmt.Sprintf("answered with a %T", object))
	}
	return wanted, nil
}

// delegating asks own for the metrics of KSMScale, and others for the rest.
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
