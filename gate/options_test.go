package gate

import (
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/example/ksmscale/gate/exposition"
)

func TestResourcesWithoutMetricsAreNotWaitedFor(t *testing.T) {
	for name, test := range map[string]struct {
		args   []string
		waited []string
	}{
		"no lists":                               {nil, []string{"configmaps", "nodes", "pods"}},
		"a resource denied by what begins alike": {[]string{"--metric-denylist=kube_pod_.*,kube_secret_.*"}, []string{"configmaps", "nodes"}},
		"family by family": {
			[]string{"--metric-denylist=^kube_configmap_(info|created|labels|annotations)$,kube_configmap_metadata_resource_version"},
			[]string{"nodes", "pods"},
		},
		"all but one family": {
			[]string{"--metric-denylist=^kube_configmap_(info|labels|annotations)$,kube_configmap_metadata_resource_version"},
			[]string{"configmaps", "nodes", "pods"},
		},
		"all but what has no series": {[]string{"--metric-denylist=^kube_configmap_(info|created|metadata_resource_version)$"}, []string{"nodes", "pods"}},
		"all but labels": {
			[]string{"--metric-denylist=^kube_configmap_(info|created|metadata_resource_version)$", "--metric-labels-allowlist=pods=[a,b],configmaps=[c]"},
			[]string{"configmaps", "nodes", "pods"},
		},
		"allowed":                          {[]string{"--metric-allowlist=^kube_pod_info$"}, []string{"pods"}},
		"allowed anywhere in the name":     {[]string{"--metric-allowlist=_info"}, []string{"configmaps", "nodes", "pods"}},
		"one that begins like another":     {[]string{"--metric-allowlist=kube_poddisruptionbudget_created,kube_node_info"}, []string{"nodes"}},
		"spaces, and a comma at the end":   {[]string{"--metric-allowlist= kube_pod_info, kube_node_info,"}, []string{"nodes", "pods"}},
		"labels of two, with a space":      {[]string{"--metric-allowlist=kube_.*_labels", "--metric-labels-allowlist=pods=[a], nodes=[b]"}, []string{"nodes", "pods"}},
		"a denial with a comma at the end": {[]string{"--metric-denylist=kube_pod_.*,", "--custom-resources"}, []string{"configmaps", "nodes"}},
		"a family that is not opted in":    {[]string{"--metric-allowlist=kube_pod_nodeselectors,kube_node_info"}, []string{"nodes"}},
		"a family that is opted in":        {[]string{"--metric-allowlist=kube_pod_nodeselectors,kube_node_info", "--metric-opt-in-list=^kube_persistentvolume_.*$, ^kube_pod_nodeselectors$"}, []string{"nodes", "pods"}},
		"another one that is opted in":     {[]string{"--metric-allowlist=kube_pod_nodeselectors,kube_node_info", "--metric-opt-in-list=kube_pod_annotations"}, []string{"nodes"}},
		"opted in, but denied":             {[]string{"--metric-denylist=kube_pod_.*", "--metric-opt-in-list=kube_pod_nodeselectors"}, []string{"configmaps", "nodes"}},
		"labels of one":                    {[]string{"--metric-allowlist=kube_.*_labels", "--metric-labels-allowlist=pods=[a]"}, []string{"pods"}},
		"labels of all":                    {[]string{"--metric-allowlist=kube_.*_labels", "--metric-labels-allowlist=*=[*]"}, []string{"configmaps", "nodes", "pods"}},
		"annotations of one":               {[]string{"--metric-allowlist=kube_.*_annotations", "--metric-annotations-allowlist=nodes=[a]"}, []string{"nodes"}},
		"a family of a later version":      {[]string{"--metric-allowlist=^kube_node_of_tomorrow$,kube_pod_info"}, []string{"pods"}},
		"nothing, so that it stays shut":   {[]string{"--metric-allowlist=kube_nothing"}, []string{"configmaps", "nodes", "pods"}},
		"nothing, beside custom resources": {[]string{"--metric-allowlist=kube_customresource_.*", "--custom-resources"}, nil},
		"an expression with quotes":        {[]string{`--metric-denylist="`}, []string{"configmaps", "nodes", "pods"}},
	} {
		t.Run(name, func(t *testing.T) {
			exported, err := exportedWith(t, "v2.20.0", test.args)
			require.NoError(t, err)
			assert.Equal(t, test.waited, exported)
		})
	}
}

// For a version that may have unknown families, a resource counts unless the lists remove every possible family of it.
func TestFamiliesThatAreNotKnownCount(t *testing.T) {
	oneByOne := []string{"--metric-denylist=^kube_configmap_(info|created|labels|annotations)$,kube_configmap_metadata_resource_version"}
	all := []string{"configmaps", "nodes", "pods"}
	for name, test := range map[string]struct {
		version string
		args    []string
		waited  []string
	}{
		"denied one by one, the newest version":         {"v2.20.0", oneByOne, []string{"nodes", "pods"}},
		"denied one by one, a candidate for it":         {"v2.20.0-rc.0", oneByOne, []string{"nodes", "pods"}},
		"denied one by one, one in between":             {"2.15.0", oneByOne, []string{"nodes", "pods"}},
		"denied one by one, an old one":                 {"v1.9.8", oneByOne, []string{"nodes", "pods"}},
		"denied one by one, a newer patch":              {"v2.20.1", oneByOne, all},
		"denied one by one, a newer version":            {"v2.100.0", oneByOne, all},
		"denied one by one, no version":                 {"", oneByOne, all},
		"denied one by one, a version that is none":     {"main", oneByOne, all},
		"denied by a pattern":                           {"v2.21.0", []string{"--metric-denylist=kube_configmap_.*"}, []string{"nodes", "pods"}},
		"denied by what its names begin with":           {"v2.21.0", []string{"--metric-denylist=^kube_(configmap|pod)_"}, []string{"nodes"}},
		"denied by patterns of each, but for one":       {"v2.21.0", []string{"--metric-denylist=kube_pod_.*,^kube_configmap_[^u].*"}, []string{"configmaps", "nodes"}},
		"nothing denied or allowed":                     {"v2.21.0", nil, all},
		"allowed by its name":                           {"v2.21.0", []string{"--metric-allowlist=^kube_node_of_tomorrow$,kube_pod_info"}, []string{"nodes", "pods"}},
		"not allowed by what is not known of another":   {"v2.21.0", []string{"--metric-allowlist=^kube_node_of_tomorrow$"}, []string{"nodes"}},
		"allowed is what is known":                      {"v2.21.0", []string{"--metric-allowlist=kube_pod_info"}, []string{"pods"}},
		"nothing known is allowed, so that it is shut":  {"v2.21.0", []string{"--metric-allowlist=kube_nothing"}, all},
		"all denied by patterns, and custom resources":  {"v2.21.0", []string{"--metric-denylist=kube_(pod|node|configmap)_.*", "--custom-resources"}, nil},
		"all denied by patterns, so that it stays shut": {"v2.21.0", []string{"--metric-denylist=kube_(pod|node|configmap)_.*"}, all},
	} {
		t.Run(name, func(t *testing.T) {
			exported, err := exportedWith(t, test.version, test.args)
			require.NoError(t, err)
			assert.Equal(t, test.waited, exported)
		})
	}
}

// Newer versions of kube-state-metrics support more regular expressions than Go.
func TestAllAreWaitedForIfTheListsCannotBeRead(t *testing.T) {
	for _, flag := range []string{"--metric-allowlist", "--metric-denylist", "--metric-opt-in-list"} {
		exported, err := exportedWith(t, "v2.20.0", []string{flag + "=^kube_(?!pod_).*$"})
		require.ErrorContains(t, err, `"^kube_(?!pod_).*$"`, flag)
		assert.Equal(t, []string{"configmaps", "nodes", "pods"}, exported, flag)
	}
}

func exportedWith(t *testing.T, version string, args []string) ([]string, error) {
	t.Helper()
	options := NewOptions()
	flags := pflag.NewFlagSet("gate", pflag.ContinueOnError)
	options.AddFlags(flags)
	require.NoError(t, flags.Parse(append([]string{"--resources=pods,nodes,configmaps,pods,unknown"}, args...)))
	exported, err := options.exported()
	var names []string
	for _, kind := range exported(version) {
		names = append(names, kind.Name)
	}
	return names, err
}

// A PodDisruptionBudget has a deletion timestamp only during its deletion.
func TestFamiliesThatHardlyAnyObjectHasAreNotWaitedFor(t *testing.T) {
	options := NewOptions()
	options.Resources = []string{"nodes", "poddisruptionbudgets"}
	options.MetricDenylist = []string{"kube_poddisruptionbudget_created", "kube_poddisruptionbudget_status_.*"}
	exported, err := options.exported()
	require.NoError(t, err)
	assert.Equal(t, []exposition.Resource{exposition.Resources["nodes"]}, exported("v2.20.0"))
}
