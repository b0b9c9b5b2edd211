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
	// ofHelm are labels and annotations that only the chart's objects have.
	ofHelm = map[string]string{
		"helm.sh/chart":           "the label that Helm asks of all charts",
		"helm.sh/resource-policy": "Helm must not delete the CustomResourceDefinition, and kubectl does not look at this",
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
	made := render(t, "")
	require.Equal(t, wanted.keys(), made.keys())

	differences := map[string]bool{}
	for name := range wanted {
		for difference := range withoutHelm(made[name]) {
			differences[difference] = true
		}
		assert.Equal(t, wanted[name].Object, made[name].Object, name)
	}
	for difference := range ofHelm {
		assert.True(t, differences[difference], "%s is no difference any more", difference)
	}
}

// withoutHelm removes what only Helm's objects have, and yields it.
func withoutHelm(object *unstructured.Unstructured) iter.Seq[string] {
	return func(yield func(string) bool) {
		labels, annotations := object.GetLabels(), object.GetAnnotations()
		for _, of := range []map[string]string{labels, annotations} {
			for name := range ofHelm {
				if _, has := of[name]; has && !yield(name) {
					return
				}
				delete(of, name)
			}
		}
		object.SetLabels(labels)
		object.SetAnnotations(annotations)
	}
}

func sorted(keys iter.Seq[string]) []string { return slices.Sorted(keys) }
