package check

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/metrics/pkg/apis/external_metrics/v1beta1"

	"github.com/example/ksmscale/api/v1alpha1"
)

// server answers as an API server with one KSMScale of three shards does.
type server struct {
	t    *testing.T
	mode v1alpha1.AutoscalingMode
	// values are those of the shards; nil if no adapter answers.
	values []int64
	// others are those of five shards that it replaces, or that replace them.
	others []int64
	// late is the number of requests for the API that fail first.
	late int
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var answer any
	switch r.URL.Path {
	case "/apis/external.metrics.k8s.io/v1beta1":
		if s.late--; s.late >= 0 || s.values == nil {
			http.Error(w, "no adapter", http.StatusServiceUnavailable)
			return
		}
		answer = metav1.APIResourceList{}
	case "/apis/monitor.example.com/v1alpha1/ksmscales":
		answer = v1alpha1.KSMScaleList{Items: []v1alpha1.KSMScale{{
			ObjectMeta: metav1.ObjectMeta{Name: "main"},
			Spec: v1alpha1.KSMScaleSpec{
				Namespace: "monitoring", Sharding: &v1alpha1.ShardingConfig{Enabled: true, ShardCount: 3}, Autoscaling: &v1alpha1.AutoscalingConfig{Mode: s.mode},
			},
		}}}
	case "/apis/external.metrics.k8s.io/v1beta1/namespaces/monitoring/ksmscale_desired_replicas":
		var metrics v1beta1.ExternalMetricValueList
		selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for total, values := range map[string][]int64{"3": s.values, "5": s.others} {
			for shard, value := range values {
				series := labels.Set{v1alpha1.MetricLabelKSMScale: "main", v1alpha1.MetricLabelShard: strconv.Itoa(shard), v1alpha1.MetricLabelTotalShards: total}
				if selector.Matches(series) {
					metrics.Items = append(metrics.Items, v1beta1.ExternalMetricValue{MetricLabels: series, Value: *resource.NewQuantity(value, resource.DecimalSI)})
				}
			}
		}
		answer = metrics
	default:
		http.NotFound(w, r)
		return
	}
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		s.t.Error(err)
	}
}

func TestRun(t *testing.T) {
	for _, test := range []struct {
		name   string
		server server
		err    string
	}{
		{name: "each shard has a value", server: server{values: []int64{2, 1, 1}}},
		{name: "the adapter is late", server: server{values: []int64{2, 1, 1}, late: 2}},
		{name: "metrics are not needed", server: server{values: []int64{}, mode: v1alpha1.ModeDirect}},
		{name: "a reshard", server: server{values: []int64{2, 1, 1}, others: []int64{1, 1, 1, 1, 1}}},
		{name: "a reshard to shards without a value", server: server{values: []int64{2}, others: []int64{1, 1, 1, 1, 1}}, err: "KSMScale main: 1 of 3 shards have a metric"},
		{name: "no adapter", server: server{}, err: "the server is currently unable to handle the request"},
		{name: "a shard without a value", server: server{values: []int64{2, 1}}, err: "KSMScale main: 2 of 3 shards have a metric"},
		{name: "a shard without replicas", server: server{values: []int64{2, 0, 1}}, err: "KSMScale main: shard 1 has the value 0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.server.t = t
			api := httptest.NewServer(&test.server)
			defer api.Close()
			options := &Options{Kubeconfig: kubeconfig(t, api.URL), Timeout: time.Second, Period: 5 * time.Millisecond}
			if test.err == "" {
				options.Timeout = time.Minute
				require.NoError(t, Run(t.Context(), options))
			} else {
				require.ErrorContains(t, Run(t.Context(), options), test.err)
			}
		})
	}
}

func kubeconfig(t *testing.T, url string) string {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["test"] = &clientcmdapi.Cluster{Server: url}
	config.Contexts["test"] = &clientcmdapi.Context{Cluster: "test"}
	config.CurrentContext = "test"
	file := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, clientcmd.WriteToFile(*config, file))
	return file
}

func TestValidate(t *testing.T) {
	require.NoError(t, NewOptions().Validate())
	require.Error(t, (&Options{Timeout: time.Second}).Validate())
	require.Error(t, (&Options{Period: time.Second}).Validate())
}
