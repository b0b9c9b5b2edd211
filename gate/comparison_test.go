package gate

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/example/ksmscale/gate/exposition"
	"github.com/example/ksmscale/gate/sharding"
)

func TestOptionsOf(t *testing.T) {
	options, err := OptionsOf([]string{"--shard=1", "--total-shards=3", "--resources=pods,nodes", "--metric-allowlist=^kube_pod_info$$", "--flag-of-tomorrow=1"})
	require.NoError(t, err)
	assert.Equal(t, sharding.Shard{ID: 1, Total: 3}, options.Shard)
	assert.Equal(t, []string{"pods", "nodes"}, options.Resources)
	assert.Equal(t, []string{"^kube_pod_info$"}, options.MetricAllowlist)
	_, err = OptionsOf([]string{"--shard=one"})
	require.ErrorContains(t, err, "parse the arguments of the gate")
}

func TestSelects(t *testing.T) {
	pods, nodes := exposition.Resources["pods"], exposition.Resources["nodes"]
	for _, test := range []struct {
		only, without []string
		selects       bool
	}{{nil, nil, true}, {[]string{"a"}, nil, true}, {[]string{"b"}, nil, false}, {nil, []string{"a"}, false}, {[]string{"a"}, []string{"a"}, false}} {
		options := &Options{Namespaces: test.only, NamespacesDenylist: test.without}
		assert.Equal(t, test.selects, options.Selects(pods, "a"), test)
		assert.True(t, options.Selects(nodes, ""), "a node is in no namespace")
	}
}

// What is exposed and what is listed have the same names, also if no single family identifies the objects.
func TestExposedAndListed(t *testing.T) {
	server, monitor := newFakeAPIServer(t), newFakeMonitor(t)
	server.create("pods", "default", "a", "b")
	server.create("pods", "other", "c")
	server.create("endpointslices", "default", "d")
	server.create("endpointslices", "shop", "d")
	monitor.exposeText("# TYPE kube_pod_status_phase gauge\nkube_pod_status_phase{namespace=\"default\",pod=\"a\"} 1\n" +
		"# TYPE kube_endpointslice_info gauge\nkube_endpointslice_info{endpointslice=\"d\",namespace=\"shop\"} 1\n")
	options := NewOptions()
	options.Resources, options.NamespacesDenylist = []string{"endpointslices", "pods"}, []string{"other"}
	options.MetricsURL, options.TelemetryURL = monitor.URL+"/metrics", monitor.URL+"/telemetry"
	exposed, err := options.Exposed(t.Context(), monitor.Client())
	require.NoError(t, err)
	slice := types.NamespacedName{Name: "d"}
	assert.Equal(t, Exposed{"endpointslices": sets.New(slice), "pods": sets.New(types.NamespacedName{Namespace: "default", Name: "a"})}, exposed)

	listed, err := options.Listed(t.Context(), server.metadata(t), exposition.Resources["pods"])
	require.NoError(t, err)
	assert.Equal(t, map[types.NamespacedName][]Identity{
		{Namespace: "default", Name: "a"}: {{"default", "a"}}, {Namespace: "default", Name: "b"}: {{"default", "b"}},
	}, listed)
	listed, err = options.Listed(t.Context(), server.metadata(t), exposition.Resources["endpointslices"])
	require.NoError(t, err)
	assert.Equal(t, map[types.NamespacedName][]Identity{slice: {{"default", "d"}, {"shop", "d"}}}, listed)

	monitor.silence()
	_, err = options.Exposed(t.Context(), monitor.Client())
	require.ErrorContains(t, err, "kube-state-metrics does not answer")
}
