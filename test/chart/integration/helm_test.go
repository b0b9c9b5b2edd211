package integration

import (
	"errors"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"helm.sh/helm/v4/pkg/action"
	chartv2 "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/kube"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/example/ksmscale/test/cluster"
)

var root = filepath.Join("..", "..", "..")

// values are the values of a release, in the form that users write.
type values = map[string]any

// withoutPods are values with which processes can stand in for the pods.
func withoutPods(more values) values {
	all := values{"controller": values{"replicas": 0}, "adapter": values{"replicas": 0}}
	maps.Copy(all, more)
	return all
}

// helm does what the program does, with a cluster's administrator's rights.
type helm struct {
	configuration *action.Configuration
	namespace     string
}

func newHelm(t *testing.T, on *cluster.Cluster, namespace string) *helm {
	t.Helper()
	flags := genericclioptions.NewConfigFlags(true)
	flags.KubeConfig, flags.Namespace = new(on.Kubeconfig()), &namespace
	configuration := action.NewConfiguration()
	require.NoError(t, configuration.Init(flags, namespace, "secret"))
	return &helm{configuration: configuration, namespace: namespace}
}

func (h *helm) install(t *testing.T, name string, chart *chartv2.Chart, chartValues values) error {
	t.Helper()
	install := action.NewInstall(h.configuration)
	install.ReleaseName, install.Namespace, install.CreateNamespace = name, h.namespace, true
	install.ServerSideApply, install.WaitStrategy = true, kube.HookOnlyStrategy
	_, err := install.RunWithContext(t.Context(), chart, chartValues)
	return err
}

func (h *helm) upgrade(t *testing.T, name string, chart *chartv2.Chart, chartValues values) {
	t.Helper()
	upgrade := action.NewUpgrade(h.configuration)
	upgrade.Namespace, upgrade.ServerSideApply, upgrade.WaitStrategy = h.namespace, "auto", kube.HookOnlyStrategy
	_, err := upgrade.RunWithContext(t.Context(), name, chart, chartValues)
	require.NoError(t, err)
}

func (h *helm) uninstall(t *testing.T, name string) {
	t.Helper()
	uninstall := action.NewUninstall(h.configuration)
	uninstall.WaitStrategy, uninstall.DeletionPropagation = kube.HookOnlyStrategy, "background"
	_, err := uninstall.Run(name)
	require.NoError(t, err)
}

// current is the chart from a package, like users get it.
func current(t *testing.T) *chartv2.Chart {
	t.Helper()
	folder, err := loader.LoadDir(filepath.Join(root, "deploy", "chart"))
	require.NoError(t, err)
	packaged, err := util.Save(folder, t.TempDir())
	require.NoError(t, err)
	chart, err := loader.LoadFile(packaged)
	require.NoError(t, err)
	return chart
}

// test does the same as `helm test`, and runs stand-in during it.
func (h *helm) test(t *testing.T, name string, standIn func()) error {
	t.Helper()
	testing := action.NewReleaseTesting(h.configuration)
	testing.Namespace, testing.Timeout = h.namespace, eventually
	done := make(chan error)
	go func() {
		_, shutdown, err := testing.Run(name)
		done <- errors.Join(err, shutdown())
	}()
	standIn()
	return <-done
}

// older has the differences of an older chart, by file: another name of a column of the type, and one right less.
var older = map[string]struct{ has, had string }{
	"files/crd.yaml":  {"name: Desired\n", "name: Wanted\n"},
	"files/rbac.yaml": {"  - volumeattachments\n", ""},
}

// previous is the chart as one before it may have been.
func previous(t *testing.T) *chartv2.Chart {
	t.Helper()
	chart := current(t)
	chart.Metadata.Version, chart.Metadata.AppVersion = "0.0.1", "v0.0.1"
	for _, file := range chart.Files {
		change, changed := older[file.Name]
		if !changed {
			continue
		}
		require.Contains(t, string(file.Data), change.has)
		file.Data = []byte(strings.ReplaceAll(string(file.Data), change.has, change.had))
	}
	return chart
}
