package chart

import (
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/release"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

var root = filepath.Join("..", "..")

// values are the values of a release, in the form that users write.
type values = map[string]any

// parse reads values as they are in a file.
func parse(t *testing.T, text string) values {
	t.Helper()
	parsed := values{}
	require.NoError(t, yaml.UnmarshalStrict([]byte(text), &parsed))
	return parsed
}

// objects are the objects of an installation, by kind, namespace and name.
type objects map[string]*unstructured.Unstructured

// add adds the objects of a stream, each of which has to be there once.
func (o objects) add(t *testing.T, stream string) {
	t.Helper()
	for document := range strings.SplitSeq("\n"+stream, "\n---") {
		manifest := &unstructured.Unstructured{}
		require.NoError(t, yaml.UnmarshalStrict([]byte(document), &manifest.Object), document)
		if len(manifest.Object) == 0 {
			continue
		}
		require.NotContains(t, o, key(manifest))
		o[key(manifest)] = manifest
	}
}

func (o objects) keys() []string { return sorted(maps.Keys(o)) }

func key(manifest *unstructured.Unstructured) string {
	if manifest.GetNamespace() == "" {
		return manifest.GetKind() + " " + manifest.GetName()
	}
	return manifest.GetKind() + " " + manifest.GetNamespace() + "/" + manifest.GetName()
}

// install renders a release like helm template, for the namespace of config/default.
func install(t *testing.T, text string) (release.Releaser, error) {
	t.Helper()
	chart, err := loader.Load(filepath.Join(root, "deploy", "chart"))
	require.NoError(t, err)
	installation := action.NewInstall(action.NewConfiguration())
	installation.DryRunStrategy = action.DryRunClient
	installation.ReleaseName, installation.Namespace = "ksmscale", "ksmscale-system"
	installation.KubeVersion = &common.KubeVersion{Version: "v1.37.0", Major: "1", Minor: "37"}
	return installation.Run(chart, parse(t, text))
}

// tryRender returns the objects of a release, and Helm's output.
func tryRender(t *testing.T, text string) (objects, string, error) {
	t.Helper()
	rendered, err := install(t, text)
	if err != nil {
		return nil, "", err
	}
	accessor, err := release.NewAccessor(rendered)
	require.NoError(t, err)
	all := objects{}
	all.add(t, accessor.Manifest())
	return all, accessor.Notes(), nil
}

func render(t *testing.T, text string) objects {
	t.Helper()
	rendered, _, err := tryRender(t, text)
	require.NoError(t, err)
	return rendered
}
