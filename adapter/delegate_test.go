package adapter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"
	"k8s.io/metrics/pkg/apis/external_metrics"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/custom-metrics-apiserver/pkg/provider"

	"github.com/example/ksmscale/api/v1alpha1"
)

const (
	values = `{"kind":"ExternalMetricValueList","apiVersion":"external.metrics.k8s.io/v1beta1","metadata":{},"items":[
		{"metricName":"queue","metricLabels":{"foo":"bar"},"timestamp":"2026-01-01T00:00:00Z","window":60,"value":"1500m"}]}`
	discovery = `{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"external.metrics.k8s.io/v1beta1","resources":[%s]}`
)

// testDelegate is a Delegate of a test's server.
type testDelegate struct {
	*Delegate
	server *httptest.Server
	// requestCount is how many requests the server has received.
	requestCount atomic.Int32
}

// newTestDelegate starts a server with a handler, until the test ends.
func newTestDelegate(t testing.TB, handler http.HandlerFunc, overrides ...func(*rest.Config, *DelegateOptions)) *testDelegate {
	t.Helper()
	d := &testDelegate{}
	d.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.requestCount.Add(1)
		handler(w, r)
	}))
	t.Cleanup(d.server.Close)
	authority, err := cert.EncodeCertificates(d.server.Certificate())
	require.NoError(t, err)
	options := &DelegateOptions{Address: d.server.URL, CAFile: filepath.Join(t.TempDir(), "ca.crt")}
	require.NoError(t, os.WriteFile(options.CAFile, authority, 0o600))
	adapterConfig := &rest.Config{Host: "https://api.example.com", BearerToken: "token", Impersonate: rest.ImpersonationConfig{UserName: "someone"}}
	for _, override := range overrides {
		override(adapterConfig, options)
	}
	require.NoError(t, options.Validate())
	d.Delegate, err = NewDelegate(adapterConfig, options, clocktesting.NewFakePassiveClock(time.Time{}))
	require.NoError(t, err)
	return d
}

func (d *testDelegate) ask(ctx context.Context, t require.TestingT, selector string) (*external_metrics.ExternalMetricValueList, error) {
	labelSelector, err := labels.Parse(selector)
	require.NoError(t, err)
	return d.GetExternalMetric(ctx, "default", labelSelector, provider.ExternalMetricInfo{Metric: "queue"})
}

// answer is a handler that sends the same answer to every request.
func answer(code int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(code)
		fmt.Fprint(w, body)
	}
}

func answerStatus(t *testing.T, code int, status metav1.Status) http.HandlerFunc {
	t.Helper()
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	body, err := json.Marshal(status)
	require.NoError(t, err)
	return answer(code, "application/json", string(body))
}

func statusOf(t require.TestingT, err error) metav1.Status {
	var status apierrors.APIStatus
	require.ErrorAs(t, err, &status)
	return status.Status()
}

func TestDelegatedValues(t *testing.T) {
	var got *http.Request
	d := newTestDelegate(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Clone(context.Background())
		answer(http.StatusOK, "application/json", values)(w, r)
	})
	list, err := d.ask(t.Context(), t, "foo in (bar,baz),a!=b")
	require.NoError(t, err)
	require.Len(t, list.Items, 1)
	assert.Equal(t, "queue", list.Items[0].MetricName)
	assert.Equal(t, map[string]string{"foo": "bar"}, list.Items[0].MetricLabels)
	assert.EqualValues(t, 1500, list.Items[0].Value.MilliValue())
	assert.Equal(t, "2026-01-01T00:00:00Z", list.Items[0].Timestamp.UTC().Format(time.RFC3339))
	assert.EqualValues(t, 60, *list.Items[0].WindowSeconds)

	assert.Equal(t, "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/queue", got.URL.Path)
	assert.Equal(t, "a!=b,foo in (bar,baz)", got.URL.Query().Get("labelSelector"))
	assert.Equal(t, "Bearer token", got.Header.Get("Authorization"))
	assert.Empty(t, got.Header.Get("Impersonate-User"), "the adapter uses its own account")
	assert.Empty(t, got.Header.Get("Accept-Encoding"))
	assert.Equal(t, 1, testutil.CollectAndCount(d.requests))
}

func TestEmptyListIsPassedOn(t *testing.T) {
	d := newTestDelegate(t, answer(http.StatusOK, "application/json", `{"kind":"ExternalMetricValueList","apiVersion":"external.metrics.k8s.io/v1beta1","items":[]}`))
	list, err := d.ask(t.Context(), t, "")
	require.NoError(t, err)
	assert.Empty(t, list.Items)
}

// The caller receives the delegate's errors unchanged.
func TestDelegatesErrorsArePassedOn(t *testing.T) {
	for _, status := range []metav1.Status{
		{Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound, Message: "no matching metrics found for queue"},
		{Code: http.StatusBadRequest, Reason: metav1.StatusReasonBadRequest, Message: "no such label"},
		{Code: http.StatusInternalServerError, Reason: metav1.StatusReasonInternalError, Message: "the queue is broken"},
		{Code: http.StatusTooManyRequests, Reason: metav1.StatusReasonTooManyRequests, Message: "slow down", Details: &metav1.StatusDetails{RetryAfterSeconds: 7}},
		{Code: http.StatusServiceUnavailable, Reason: "QueueGone", Message: "an unknown reason"},
	} {
		t.Run(string(status.Reason), func(t *testing.T) {
			status.Status = metav1.StatusFailure
			handler := answerStatus(t, int(status.Code), status)
			d := newTestDelegate(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Retry-After", "1")
				handler(w, r)
			})
			_, err := d.ask(t.Context(), t, "")
			got := statusOf(t, err)
			got.TypeMeta = metav1.TypeMeta{}
			assert.Equal(t, status, got)
			assert.EqualValues(t, 1, d.requestCount.Load(), "whether to ask again is up to the caller")
		})
	}
}

func TestStatusWithoutCode(t *testing.T) {
	d := newTestDelegate(t, answerStatus(t, http.StatusNotFound, metav1.Status{Status: metav1.StatusFailure, Message: "none"}))
	_, err := d.ask(t.Context(), t, "")
	assert.EqualValues(t, http.StatusNotFound, statusOf(t, err).Code)
}

func TestStatusWithoutMessage(t *testing.T) {
	d := newTestDelegate(t, answerStatus(t, http.StatusNotFound, metav1.Status{Status: metav1.StatusFailure, Code: http.StatusNotFound}))
	_, err := d.ask(t.Context(), t, "")
	assert.Contains(t, statusOf(t, err).Message, "--delegate="+d.server.URL+" names answered with code 404 and no message")
}

// After any other failure of the delegate, the caller receives an API status that names the delegate.
func TestWrongAnswers(t *testing.T) {
	large := `{"kind":"ExternalMetricValueList","apiVersion":"external.metrics.k8s.io/v1beta1","items":[` + strings.Repeat(`{},`, 10<<20/3) + `{}]}`
	failure := metav1.Status{Status: metav1.StatusFailure, Message: "User ksmscale-adapter cannot list"}
	forbidden, unauthorized := failure, failure
	forbidden.Code, unauthorized.Code = http.StatusForbidden, http.StatusUnauthorized
	redirected := httptest.NewTLSServer(answer(http.StatusOK, "application/json", values))
	t.Cleanup(redirected.Close)
	for _, test := range []struct {
		name    string
		handler http.HandlerFunc
		code    int32
		message string
	}{
		{"text with a code of 500", answer(http.StatusInternalServerError, "text/plain", "broken"), http.StatusBadGateway, "broken"},
		{"a page with a code of 404", answer(http.StatusNotFound, "text/html", "<html>"), http.StatusBadGateway, "no API status"},
		{"garbage", answer(http.StatusOK, "application/json", "{garbage"), http.StatusBadGateway, "sent no metrics"},
		{"an empty answer", answer(http.StatusOK, "application/json", ""), http.StatusBadGateway, "sent no metrics"},
		{"a page", answer(http.StatusOK, "text/html", "<html>"), http.StatusBadGateway, "text/html"},
		{"metrics as text", answer(http.StatusOK, "text/plain", values), http.StatusBadGateway, "text/plain"},
		{"a malformed content type", answer(http.StatusOK, "a/b/c", values), http.StatusBadGateway, "mime"},
		{"another kind", answer(http.StatusOK, "application/json", fmt.Sprintf(discovery, "")), http.StatusBadGateway, "APIResourceList"},
		{"an unknown kind", answer(http.StatusOK, "application/json", `{"kind":"Pod","apiVersion":"v1"}`), http.StatusBadGateway, "Pod"},
		{"success of something", answerStatus(t, http.StatusOK, metav1.Status{Status: metav1.StatusSuccess}), http.StatusBadGateway, "Status"},
		{"a failure with a code of success", answerStatus(t, http.StatusOK, metav1.Status{Status: metav1.StatusFailure, Code: 200}), http.StatusBadGateway, "no API status"},
		{"10 MB", answer(http.StatusOK, "application/json", large), http.StatusBadGateway, "more than 2097152 bytes"},
		{"an error of 10 MB", answer(http.StatusInternalServerError, "application/json", large), http.StatusBadGateway, "more than 2097152 bytes"},
		{"a redirect", http.RedirectHandler(redirected.URL, http.StatusFound).ServeHTTP, http.StatusBadGateway, "no API status"},
		{"not the adapter", answerStatus(t, http.StatusForbidden, forbidden), http.StatusServiceUnavailable, "the adapter's own account, which needs the rights in config/delegate: User ksmscale-adapter cannot list"},
		{"a token of another account", answerStatus(t, http.StatusUnauthorized, unauthorized), http.StatusServiceUnavailable, "the adapter's own account"},
		{"an answer that breaks off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, values[:20])
		}, http.StatusServiceUnavailable, "unexpected EOF"},
		{"a connection that breaks off", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, http.StatusServiceUnavailable, "cannot be reached"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newTestDelegate(t, test.handler)
			_, err := d.ask(t.Context(), t, "")
			status := statusOf(t, err)
			assert.Equal(t, test.code, status.Code, status.Message)
			assert.NotEmpty(t, status.Reason)
			assert.Contains(t, status.Message, test.message)
			assert.Contains(t, status.Message, "--delegate="+d.server.URL)
		})
	}
}

func TestDelegateThatIsDown(t *testing.T) {
	d := newTestDelegate(t, answer(http.StatusOK, "application/json", values))
	d.server.Close()
	_, err := d.ask(t.Context(), t, "")
	status := statusOf(t, err)
	assert.EqualValues(t, http.StatusServiceUnavailable, status.Code)
	assert.Contains(t, status.Message, "connection refused")
}

// hanging is a handler that reports each request, and never answers.
func hanging() (handler http.HandlerFunc, arrived <-chan struct{}) {
	arrivals := make(chan struct{}, 2*delegateRunning)
	return func(_ http.ResponseWriter, r *http.Request) {
		arrivals <- struct{}{}
		<-r.Context().Done()
	}, arrivals
}

func TestDelegateThatHangs(t *testing.T) {
	handler, _ := hanging()
	d := newTestDelegate(t, handler)
	d.timeout = 50 * time.Millisecond
	_, err := d.ask(t.Context(), t, "")
	status := statusOf(t, err)
	assert.EqualValues(t, http.StatusGatewayTimeout, status.Code)
	assert.Contains(t, status.Message, "did not answer within 50ms")
}

func TestDelegateThatHangsHalfway(t *testing.T) {
	handler, _ := hanging()
	d := newTestDelegate(t, func(w http.ResponseWriter, r *http.Request) {
		answer(http.StatusOK, "application/json", values[:20])(w, r)
		assert.NoError(t, http.NewResponseController(w).Flush())
		handler(w, r)
	})
	d.timeout = 50 * time.Millisecond
	_, err := d.ask(t.Context(), t, "")
	assert.EqualValues(t, http.StatusGatewayTimeout, statusOf(t, err).Code, err)
}

// While the allowed numbers of requests run and wait at the delegate, the adapter refuses the next one immediately. It
// still serves KSMScale's own metrics and discovery.
func TestOwnMetricsDoNotWait(t *testing.T) {
	handler, arrived := hanging()
	d := newTestDelegate(t, handler)
	d.timeout = time.Hour
	all := delegating{own: own{}, others: d}
	ctx, cancel := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	for range delegateRunning + delegateWaiting {
		waiting.Go(func() {
			_, err := d.ask(ctx, t, "")
			assert.Error(t, err)
		})
	}
	for range delegateRunning {
		<-arrived
	}
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		free := d.admitted.TryAcquire(1)
		if free {
			d.admitted.Release(1)
		}
		require.False(c, free)
	}, time.Minute, time.Millisecond)

	_, err := d.ask(ctx, t, "")
	status := statusOf(t, err)
	assert.EqualValues(t, http.StatusServiceUnavailable, status.Code)
	assert.Contains(t, status.Message, "too many requests")
	list, err := all.GetExternalMetric(ctx, "default", labels.Everything(), provider.ExternalMetricInfo{Metric: v1alpha1.MetricNodes})
	require.NoError(t, err)
	assert.Len(t, list.Items, 1)
	assert.Equal(t, []provider.ExternalMetricInfo{{Metric: v1alpha1.MetricNodes}}, all.ListAllExternalMetrics())
	assert.EqualValues(t, delegateRunning, d.requestCount.Load())

	cancel()
	waiting.Wait()
	assert.True(t, d.admitted.TryAcquire(delegateRunning+delegateWaiting), "each request has released its place")
	assert.True(t, d.running.TryAcquire(delegateRunning))
}

// own has one metric, and fails for the metrics of others.
type own struct{}

func (own) GetExternalMetric(_ context.Context, _ string, _ labels.Selector, info provider.ExternalMetricInfo) (*external_metrics.ExternalMetricValueList, error) {
	if info.Metric != v1alpha1.MetricNodes {
		return nil, errors.New("there is no external metric " + info.Metric)
	}
	return &external_metrics.ExternalMetricValueList{Items: []external_metrics.ExternalMetricValue{{MetricName: info.Metric}}}, nil
}

func (own) ListAllExternalMetrics() []provider.ExternalMetricInfo {
	return []provider.ExternalMetricInfo{{Metric: v1alpha1.MetricNodes}}
}

func TestOwnNamesAreNeverDelegated(t *testing.T) {
	d := newTestDelegate(t, answer(http.StatusOK, "application/json", values))
	all := delegating{own: own{}, others: d}
	_, err := all.GetExternalMetric(t.Context(), "default", labels.Everything(), provider.ExternalMetricInfo{Metric: "ksmscale_other"})
	assert.EqualError(t, err, "there is no external metric ksmscale_other")
	assert.Zero(t, d.requestCount.Load())
	_, err = all.GetExternalMetric(t.Context(), "default", labels.Everything(), provider.ExternalMetricInfo{Metric: "ksmscale"})
	require.NoError(t, err)
	assert.EqualValues(t, 1, d.requestCount.Load())
}

func TestDelegatesDiscovery(t *testing.T) {
	var handler atomic.Value
	resources := func(names ...string) http.HandlerFunc {
		for i, name := range names {
			names[i] = `{"name":"` + name + `","namespaced":true,"kind":"ExternalMetricValueList","verbs":["get"]}`
		}
		return answer(http.StatusOK, "application/json", fmt.Sprintf(discovery, strings.Join(names, ",")))
	}
	d := newTestDelegate(t, func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "/apis/external.metrics.k8s.io/v1beta1", r.URL.Path)
		currentHandler, ok := handler.Load().(http.HandlerFunc)
		require.True(t, ok)
		currentHandler(w, r)
	})
	d.timeout = time.Minute
	all := delegating{own: own{}, others: d}
	ours := provider.ExternalMetricInfo{Metric: v1alpha1.MetricNodes}
	assert.Equal(t, []provider.ExternalMetricInfo{ours}, all.ListAllExternalMetrics(), "before the first answer")

	handler.Store(resources("queue", "ksmscale_nodes", "lag", "queue", ""))
	d.discover(t.Context())
	known := []provider.ExternalMetricInfo{ours, {Metric: "queue"}, {Metric: "lag"}}
	assert.Equal(t, known, all.ListAllExternalMetrics())

	for _, wrong := range []http.HandlerFunc{
		answer(http.StatusInternalServerError, "text/plain", "broken"),
		answer(http.StatusOK, "application/json", values),
		answer(http.StatusOK, "application/json", strings.Repeat(" ", 10<<20)),
	} {
		handler.Store(wrong)
		d.discover(t.Context())
		assert.NotEmpty(t, d.undiscovered)
		assert.Equal(t, known, all.ListAllExternalMetrics(), "the last good answer stays")
	}
	handler.Store(resources())
	d.discover(t.Context())
	assert.Empty(t, d.undiscovered)
	assert.Equal(t, []provider.ExternalMetricInfo{ours}, all.ListAllExternalMetrics())
}

func TestRunDiscoversUntilItIsDone(t *testing.T) {
	arrived := make(chan struct{}, 1)
	d := newTestDelegate(t, func(w http.ResponseWriter, r *http.Request) {
		answer(http.StatusOK, "application/json", fmt.Sprintf(discovery, `{"name":"queue"}`))(w, r)
		arrived <- struct{}{}
	})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { d.Run(ctx) })
	<-arrived
	assert.EventuallyWithT(t, func(c *assert.CollectT) { assert.Len(c, d.ListAllExternalMetrics(), 1) }, time.Minute, time.Millisecond)
	cancel()
	running.Wait()
}
