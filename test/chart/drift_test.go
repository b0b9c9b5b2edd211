package chart

import (
	"iter"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// Where the chart differs from config/default, and why.
var (
	// notInChart are objects of config/default that the chart leaves to others.
	notInChart = map[string]string{
		"Namespace ksmscale-system": "a release's namespace is there before it, and outlives it: helm install --create-namespace",
		"Namespace monitoring":      "others run there too, so that uninstalling must not delete it",
	}
	// onlyInChart are objects that config/default does not have.
	onlyInChart = map[string]string{
		"Lease ksmscale-system/ksmscale-controller": "the controller makes it, and with kubectl it goes with the namespace, which Helm leaves",
	}
	// ofHelm are labels and annotations that only the chart's objects have.
	ofHelm = map[string]string{
		"helm.sh/chart":           "the label that Helm asks of all charts",
		"helm.sh/resource-policy": "Helm must not delete the type of KSMScales and the rights of their shards, and kubectl does not look at this",
	}
)

func TestChartInstallsWhatKustomizeDoes(t *testing.T) {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(root, "config", "default"))
	require.NoError(t, err)
	stream, err := built.AsYaml()
	require.NoError(t, err)
	wanted := objects{}
	wanted.add(t, string(stream))
	for name := range notInChart {
		require.Contains(t, wanted, name, "no difference any more")
		delete(wanted, name)
	}
	rendered := render(t, "")
	for name := range onlyInChart {
		require.Contains(t, rendered, name, "no difference any more")
		delete(rendered, name)
	}
	require.Equal(t, wanted.keys(), rendered.keys())

	differences := map[string]bool{}
	for name := range wanted {
		for _, difference := range withoutHelm(rendered[name]) {
			differences[difference] = true
		}
		assert.Equal(t, wanted[name].Object, rendered[name].Object, name)
	}
	for difference := range ofHelm {
		assert.True(t, differences[difference], "%s is no difference any more", difference)
	}
}

// withoutHelm removes what only Helm's objects have, and returns it.
func withoutHelm(manifest *unstructured.Unstructured) []string {
	var removed []string
	for _, field := range []string{"labels", "annotations"} {
		pairs, _, _ := unstructured.NestedStringMap(manifest.Object, "metadata", field)
		for name := range ofHelm {
			if _, has := pairs[name]; has {
				removed = append(removed, name)
				unstructured.RemoveNestedField(manifest.Object, "metadata", field, name)
				if len(pairs) == 1 {
					unstructured.RemoveNestedField(manifest.Object, "metadata", field)
				}
			}
		}
	}
	return removed
}

func sorted(keys iter.Seq[string]) []string { return slices.Sorted(keys) }
