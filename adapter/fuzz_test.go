package adapter

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/metrics/pkg/apis/external_metrics/v1beta1"
	"sigs.k8s.io/custom-metrics-apiserver/pkg/apiserver"
	"sigs.k8s.io/custom-metrics-apiserver/pkg/provider"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/plans"
	"github.com/example/ksmscale/scaling"
)

const metricsPath = "/apis/external.metrics.k8s.io/v1beta1/namespaces/"

// fuzzedPlans has the plan of one KSMScale of 3 shards in the namespace monitoring.
type fuzzedPlans struct{}

func (fuzzedPlans) All(context.Context) ([]plans.Planned, error) {
	ksmScale := &v1alpha1.KSMScale{
		ObjectMeta: metav1.ObjectMeta{Name: "main"},
		Spec: v1alpha1.KSMScaleSpec{
			NodesPerMonitor: 15, Namespace: "monitoring",
			Sharding: &v1alpha1.ShardingConfig{Enabled: true, ShardCount: 3, MinReplicasPerShard: 1},
		},
	}
	cluster := scaling.Cluster{Nodes: 60}
	return []plans.Planned{{KSMScale: ksmScale, Cluster: cluster, AsOf: time.Unix(0, 0), Plan: scaling.New(ksmScale, cluster)}}, nil
}

func (p fuzzedPlans) Named(ctx context.Context, name string) (plans.Planned, bool, error) {
	all, err := p.All(ctx)
	return all[0], name == all[0].KSMScale.Name, err
}

// newHandler returns the whole chain of handlers of the adapter's API server.
func newHandler(f *testing.F) http.Handler {
	f.Helper()
	recommended := genericapiserver.NewRecommendedConfig(apiserver.Codecs)
	recommended.ExternalAddress = "localhost:443"
	recommended.LoopbackClientConfig = &rest.Config{}
	config := apiserver.Config{GenericConfig: &recommended.Config}
	server, err := config.Complete(nil).New("fuzz", nil, NewProvider(fuzzedPlans{}))
	require.NoError(f, err)
	return server.GenericAPIServer.Handler
}

// FuzzRequest sends any namespace, metric and query. The adapter answers each with a status that the HPA controller understands, and only
// a metric of the namespace whose labels match comes with a value.
func FuzzRequest(f *testing.F) {
	handler := newHandler(f)
	for _, query := range []string{
		"", "labelSelector=ksmscale%3Dmain%2Cshard%3D0%2Ctotal_shards%3D3", "labelSelector=shard+in+%280%2C1%29", "labelSelector=%21shard",
		"labelSelector=shard%3E0", "labelSelector=%3D", "labelSelector=a%20b", "fieldSelector=metadata.name%3Da", "watch=true", "limit=1&continue=a",
		"labelSelector=a&labelSelector=b", "%zz", "timeoutSeconds=-1", "resourceVersion=x", "sendInitialEvents=true&resourceVersionMatch=a",
	} {
		f.Add("GET", "monitoring", v1alpha1.MetricDesiredReplicas, query)
	}
	f.Add("GET", "", v1alpha1.MetricNodes, "")
	f.Add("GET", "other", "..", "")
	f.Add("GET", "monitoring", "ksmscale_nodes/main", "")
	f.Add("POST", "monitoring", v1alpha1.MetricNodes, "")
	f.Add("GET", "monitoring", "%2e%2e/%00", "pretty=true")
	f.Fuzz(func(t *testing.T, method, namespace, metric, query string) {
		request, err := http.NewRequestWithContext(t.Context(), method, "http://localhost"+metricsPath+namespace+"/"+metric+"?"+query, nil)
		if err != nil {
			t.Skip("not a request")
		}
		request.RemoteAddr = "127.0.0.1:1"
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		assert.NotEqual(t, http.StatusInternalServerError, recorder.Code, "%s", recorder.Body)
		isList := request.Method == http.MethodGet && request.URL.Path == metricsPath+namespace+"/"+metric
		if !isList || recorder.Code != http.StatusOK && recorder.Code != http.StatusNotFound {
			return
		}
		// An API server ignores pairs of a query that it cannot decode.
		selector, err := labels.Parse(request.URL.Query().Get("labelSelector"))
		require.NoError(t, err)
		var list v1beta1.ExternalMetricValueList
		if recorder.Code == http.StatusOK {
			require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &list), "%s", recorder.Body)
			require.NotEmpty(t, list.Items)
		}
		var values []int64
		for _, item := range list.Items {
			assert.Equal(t, metric, item.MetricName)
			values = append(values, item.Value.Value())
		}
		assert.Equal(t, matching(t, namespace, metric, selector), values, "%s", selector)
	})
}

// matching returns the values of the series of the plan that a selector matches.
func matching(t *testing.T, namespace, metric string, selector labels.Selector) []int64 {
	t.Helper()
	all, err := fuzzedPlans{}.All(t.Context())
	require.NoError(t, err)
	toSeries := seriesOf[metric]
	if toSeries == nil || namespace != all[0].KSMScale.Spec.Namespace {
		return nil
	}
	var values []int64
	for _, one := range toSeries(all[0]) {
		if selector.Matches(labels.Set(one.labels)) {
			values = append(values, one.value)
		}
	}
	return values
}

// roundTripper is a function as an http.RoundTripper.
type roundTripper func(*http.Request) (*http.Response, error)

func (r roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return r(request) }

// FuzzDelegateAnswer sends any answer of the delegate to a request for values and to a discovery. The caller receives values, or an API
// status that HTTP can carry.
func FuzzDelegateAnswer(f *testing.F) {
	// The answers come from memory, because a connection for each would be slow.
	var reply http.HandlerFunc
	d := newTestDelegate(f, func(http.ResponseWriter, *http.Request) {}, func(config *rest.Config, _ *DelegateOptions) {
		config.Wrap(func(http.RoundTripper) http.RoundTripper {
			return roundTripper(func(request *http.Request) (*http.Response, error) {
				recorder := httptest.NewRecorder()
				reply(recorder, request)
				response := recorder.Result()
				response.Request = request
				return response, nil
			})
		})
	})
	klog.SetOutput(io.Discard)
	klog.LogToStderr(false)
	const asJSON = "application/json"
	f.Add(200, asJSON, values)
	f.Add(200, asJSON, fmt.Sprintf(discovery, `{"name":"queue","namespaced":true},{"name":"ksmscale_nodes"},{"name":""}`))
	f.Add(404, asJSON, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","message":"none","code":404}`)
	f.Add(500, asJSON, `{"kind":"Status","apiVersion":"v1","status":"Failure","code":99}`)
	f.Add(429, asJSON, `{"kind":"Status","apiVersion":"v1","status":"Failure","details":{"retryAfterSeconds":-1},"code":429}`)
	f.Add(200, asJSON, `{"kind":"ExternalMetricValueList","apiVersion":"external.metrics.k8s.io/v1beta1","items":[{"value":"1e99"},{"window":-1,"timestamp":"x"}]}`)
	f.Add(200, asJSON, `{"kind":"ExternalMetricValueList","apiVersion":"external.metrics.k8s.io/v1beta1"}`)
	f.Add(301, "text/html", "<html>")
	f.Add(200, "application/vnd.kubernetes.protobuf", "k8s\x00")
	f.Add(200, "application/cbor", "\xd9\xd9\xf7\xa0")
	f.Add(204, asJSON, "")
	f.Add(200, asJSON, "null")
	f.Fuzz(func(t *testing.T, code int, contentType, body string) {
		if code < 200 || code > 999 {
			t.Skip("net/http writes no such code")
		}
		reply = answer(code, contentType, body)
		list, err := d.ask(t.Context(), t, "")
		if err == nil {
			require.NotNil(t, list)
			_, err := json.Marshal(list)
			require.NoError(t, err, "the adapter can send it on")
		} else {
			status := apierrors.APIStatus(nil)
			require.ErrorAs(t, err, &status)
			assert.GreaterOrEqual(t, status.Status().Code, int32(400), "%v", err)
			assert.Less(t, status.Status().Code, int32(600), "%v", err)
			assert.NotEmpty(t, status.Status().Message)
		}
		d.discover(t.Context())
		for _, metric := range d.ListAllExternalMetrics() {
			assert.NotEmpty(t, metric.Metric)
			assert.False(t, strings.HasPrefix(metric.Metric, v1alpha1.MetricPrefix))
		}
		d.discovered.Store(&[]provider.ExternalMetricInfo{})
	})
}
