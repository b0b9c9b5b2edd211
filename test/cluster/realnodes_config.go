package cluster

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/example/ksmscale/test/cluster/image"
)

// Configuration files of the programs of a node. The fields are the fields of nodeSettings.
var (
	//go:embed containerd.toml
	containerdTemplate string
	//go:embed cni.json
	networkTemplate string
	//go:embed kubelet.yaml
	kubeletTemplate string
	//go:embed kube-proxy.yaml
	proxyTemplate string
)

// nodeSettings are what differs between nodes and between clusters.
type nodeSettings struct {
	Name, Dir, State, Socket, Bridge, Address, Pods, PodRange string

	Plugins, Cgroup, ClientCA, Logs, Pause, Kubeconfig string
}

func (c *Cluster) settings(node realNode) (nodeSettings, error) {
	plugins, err := pluginFolder()
	return nodeSettings{
		Name: node.name, Dir: node.dir, State: node.state, Socket: node.socket(),
		Bridge: node.bridge(), Address: node.address(), Pods: node.pods(), PodRange: podRange,
		Plugins:    plugins,
		Cgroup:     "/" + c.cgroup,
		ClientCA:   c.pki().certFile("ca"),
		Logs:       filepath.Join(c.Logs(), "pods-"+node.name),
		Pause:      image.PauseReference,
		Kubeconfig: c.kubeconfigOf(KubeProxy),
	}, err
}

// writeNodeConfigs writes the files that the programs of a node are given.
func (c *Cluster) writeNodeConfigs(node realNode) error {
	settings, err := c.settings(node)
	if err != nil {
		return err
	}
	for file, text := range map[string]string{
		"containerd.toml":      containerdTemplate,
		"cni/10-pods.conflist": networkTemplate,
		"kubelet.yaml":         kubeletTemplate,
		"kube-proxy.yaml":      proxyTemplate,
		// Without DNS, an empty file makes look-ups fail immediately.
		"resolv.conf": "",
	} {
		var content strings.Builder
		if err := template.Must(template.New(file).Parse(text)).Execute(&content, settings); err != nil {
			return fmt.Errorf("fill in %s: %w", file, err)
		}
		path := node.path(file)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("create folder of node: %w", err)
		}
		if err := os.WriteFile(path, []byte(content.String()), 0o600); err != nil {
			return fmt.Errorf("write configuration of node: %w", err)
		}
	}
	return nil
}

func (c *Cluster) containerd(node realNode) component {
	return component{
		name:    node.component("containerd"),
		program: []string{"containerd"},
		flags:   []string{"--config=" + node.path("containerd.toml")},
	}
}

func (c *Cluster) kubelet(node realNode, port int) component {
	return component{
		name: node.component(kubeletName), url: "http://" + address(port), health: "/healthz",
		program: []string{c.options.NodeBinary, "kubelet"},
		flags: []string{
			"--config=" + node.path("kubelet.yaml"),
			"--kubeconfig=" + c.kubeconfigOf(node.name),
			"--root-dir=" + node.path("kubelet"),
			"--cert-dir=" + node.path("certificates"),
			"--hostname-override=" + node.name,
			"--node-ip=" + node.address(),
			"--node-labels=topology.kubernetes.io/zone=" + strings.Replace(node.name, "node", "zone", 1),
			fmt.Sprintf("--healthz-port=%d", port),
		},
	}
}

// kubeProxy serves all nodes, because they use the same network namespace. Its ports are the usual ones.
func (c *Cluster) kubeProxy(int) component {
	const healthPort = 10256
	return component{
		name: KubeProxy, url: "http://" + address(healthPort), health: "/livez",
		program: []string{c.options.NodeBinary, KubeProxy},
		flags: []string{
			"--config=" + c.nodes[0].path("kube-proxy.yaml"),
			"--hostname-override=" + c.nodes[0].name,
		},
	}
}
