package ksmflags

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/kube-state-metrics/v2/pkg/options"
	"sigs.k8s.io/yaml"

	"github.com/example/ksmscale/ksmflags"
)

// FuzzLists gives two values of a flag to kube-state-metrics and to package ksmflags. Both must read the same items.
func FuzzLists(f *testing.F) {
	for _, value := range []string{"", "pods", "pods, nodes", ",pods,,", " ", "\t\n", "a\u00a0", `"a","b`, "a=[b,c]", "a,a"} {
		f.Add(value, "b")
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		metrics, resources, namespaces := options.MetricSet{}, options.ResourceSet{}, options.NamespaceList{}
		for _, value := range []string{first, second} {
			require.NoError(t, metrics.Set(value))
			require.NoError(t, resources.Set(value))
			require.NoError(t, namespaces.Set(value))
		}
		items := ksmflags.Items(first, second)
		assert.True(t, slices.Equal(namespaces, items), "%q is not %q", items, namespaces)
		unique := slices.Compact(slices.Sorted(slices.Values(items)))
		assert.Equal(t, slices.Sorted(maps.Keys(metrics)), unique)
		assert.Equal(t, slices.Sorted(maps.Keys(resources)), unique)
	})
}

// FuzzLabels gives items of spec.metrics.metricLabelsAllowlist to kube-state-metrics. It must start with each that the
// CustomResourceDefinition accepts, and read the same resources as package ksmflags.
func FuzzLabels(f *testing.F) {
	accepted := labelsRule(f)
	for _, item := range []string{
		"pods=[app,team]", "nodes=[*]", "pods=[]", "pods=[a, b]", "pods=[a,,b]", "pods=[a,]", "pods=[,a]", "pods=[é]", "é=[a]", "pods=[**]", "pods=[app.kubernetes.io/*]",
		"*=[*]", " pods=[a]", "pods =[a]", "pods=[ ]", "pods=[a b]", "pods=[a\n]", "=[a]",
	} {
		f.Add(item, "jobs=[b]")
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		if !accepted.MatchString(first) || !accepted.MatchString(second) {
			t.Skip("the API server refuses it")
		}
		value := first + "," + second
		labels := options.LabelsAllowList{}
		require.NoError(t, labels.Set(value), "%q", value)
		assert.Equal(t, slices.Sorted(maps.Keys(labels)), slices.Compact(slices.Sorted(slices.Values(ksmflags.ResourcesOf(ksmflags.Items(value))))), "%q", value)
		for resource, keys := range labels {
			assert.NotEmpty(t, resource, "%q", value)
			assert.NotContains(t, keys, "", "%q", value)
		}
	})
}

// labelsRule returns the regular expression by which the API server accepts an item.
func labelsRule(f *testing.F) *regexp.Regexp {
	f.Helper()
	text, err := os.ReadFile("../../config/crd/monitor.example.com_ksmscales.yaml")
	require.NoError(f, err)
	asJSON, err := yaml.YAMLToJSON(text)
	require.NoError(f, err)
	rules := regexp.MustCompile(`keys\.matches\('(.*?)'\)`).FindAllSubmatch(asJSON, -1)
	require.Len(f, rules, 2, "one for labels, and one for annotations")
	assert.Equal(f, string(rules[0][1]), string(rules[1][1]), "both have the same form")
	// A rule is a string of CEL in a string of JSON; a backslash escapes in both.
	return regexp.MustCompile(strings.ReplaceAll(string(rules[0][1]), `\\\\`, `\`))
}
