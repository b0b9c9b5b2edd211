package cluster

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

func TestRealNodesAreRefusedEarly(t *testing.T) {
	binary := script(t, "")
	for _, test := range []struct {
		name    string
		options Options
		want    string
	}{
		{"too many", Options{RealNodes: MaxRealNodes + 1}, "use 0 to 2"},
		{"negative", Options{RealNodes: -1}, "use 0 to 2"},
		{"detached", Options{RealNodes: 1, Detached: true}, "without Detached"},
		{"on the machine itself", Options{RealNodes: 1}, "cluster.Isolate"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.options.Binary, test.options.Dir = binary, filepath.Join(t.TempDir(), "state")
			_, err := Start(t.Context(), test.options)
			require.ErrorContains(t, err, test.want)
			assert.NoDirExists(t, test.options.Dir)
		})
	}
}

func TestNodeConfigs(t *testing.T) {
	if _, err := pluginFolder(); err != nil {
		t.Skip(err)
	}
	node := realNode{number: 1, name: nodeNames[1], dir: t.TempDir(), state: "/run/node-b"}
	require.NoError(t, (&Cluster{dir: t.TempDir()}).writeNodeConfigs(node))
	for file, parse := range map[string]func([]byte, any) error{
		"cni/10-pods.conflist": json.Unmarshal, "kubelet.yaml": unmarshal, "kube-proxy.yaml": unmarshal,
	} {
		text, err := os.ReadFile(node.path(file))
		require.NoError(t, err)
		var values map[string]any
		require.NoError(t, parse(text, &values), "%s", text)
		assert.NotContains(t, string(text), "no value")
	}
	text, err := os.ReadFile(node.path("cni/10-pods.conflist"))
	require.NoError(t, err)
	assert.Contains(t, string(text), "10.244.1.0/24")
	assert.Contains(t, string(text), "cni1")
}

func unmarshal(text []byte, into any) error { return yaml.Unmarshal(text, into) }
