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

// values are those of a release, as users write them.
type values = map[string]any

// parse reads values as they are in a file.
func parse(t *testing.T, text string) values {
	t.Helper()
	parsed := values{}
	require.NoError(t, yaml.UnmarshalStrict([]byte(text), &parsed))
	return parsed
}

// objects are those of an installation, by kind, namespace and name.
type objects map[string]*unstructured.Unstructured

// add adds the objects of a stream, each of which has to be there once.
func (o objects) add(t *testing.T, stream string) {
	t.Helper()
	for document := range strings.SplitSeq("\n"+stream, "\n---") {
		object := &unstructured.Unstructured{}
		require.NoError(t, yaml.UnmarshalStrict([]byte(document), &object.Object), document)
		if len(object.Object) == 0 {
			continue
		}
		require.NotContains(t, o, key(object))
		o[key(object)] = object
	}
}

func (o objects) keys() []string { return sorted(maps.Keys(o)) }

func key(object *unstructured.Unstructured) string {
	if object.GetNamespace() == "" {
		return object.GetKind() + " " + object.GetName()
	}
	return object.GetKind() + " " + object.GetNamespace() + "/" + object.GetName()
}

// install makes a release as helm template does, for the namespace of config/default.
func install(t *testing.T, text string) (release.Releaser, error) {
	t.Helper()
	chart, err := loader.Load(filepath.Join(root, "deploy", "chart"))
	require.NoError(t, err)
	install := action.NewInstall(action.NewConfiguration())
	install.DryRunStrategy = action.DryRunClient
	install.ReleaseName, install.Namespace = "ksmscale", "ksmscale-system"
	install.KubeVersion = &common.KubeVersion{Version: "v1.37.0", Major: "1", Minor: "37"}
	return install.Run(chart, parse(t, text))
}

// tryRender returns what a release makes, and what Helm prints of it.
func tryRender(t *testing.T, text string) (objects, string, error) {
	t.Helper()
	rendered, err := install(t, text)
	if err != nil {
		return nil, "", err
	}
	accessor, err := release.NewAccessor(rendered)
	require.NoError(t, err)
	made := objects{}
	made.add(t, accessor.Manifest())
	return made, accessor.Notes(), nil
}

func render(t *testing.T, text string) objects {
	t.Helper()
	made, _, err := tryRender(t, text)
	require.NoError(t, err)
	return made
}
