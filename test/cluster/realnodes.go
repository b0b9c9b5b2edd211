package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/test/cluster/image"
)

// nodeNames are the names of the real nodes, in order.
var nodeNames = [...]string{"node-a", "node-b"}

// MaxRealNodes is the limit of Options.RealNodes.
const MaxRealNodes = len(nodeNames)

const kubeletName = "kubelet"

// podRange holds the addresses of all real pods; each node has a part of it.
const podRange = "10.244.0.0/16"

// realNode is a containerd, a kubelet, and the bridge of its pods. All real nodes use one network namespace, like virtual
// machines on the same switch.
type realNode struct {
	number int
	name   string
	dir    string
	// state is short, because the paths of sockets in it must not be long.
	state string
}

func nodeAddress(number int) string { return fmt.Sprintf("10.244.%d.1", number) }

func (n realNode) address() string                 { return nodeAddress(n.number) }
func (n realNode) pods() string                    { return fmt.Sprintf("10.244.%d.0/24", n.number) }
func (n realNode) bridge() string                  { return fmt.Sprintf("cni%d", n.number) }
func (n realNode) path(name string) string         { return filepath.Join(n.dir, name) }
func (n realNode) socket() string                  { return filepath.Join(n.state, "containerd.sock") }
func (n realNode) component(program string) string { return program + "-" + n.name }

// LoadImage imports an image into every real node, where pods cannot pull images. The image is an archive of package oci
// or of `docker save`.
func (c *Cluster) LoadImage(ctx context.Context, tarPath string) error {
	return inParallel(ctx, c.nodes, func(ctx context.Context, node realNode) error { return node.load(ctx, tarPath) })
}

func (n realNode) load(ctx context.Context, tarPath string) error {
	return run(ctx, "ctr", "--address", n.socket(), "--namespace", "k8s.io", "images", "import", tarPath)
}

// prepareNodes checks early that real nodes can run here.
func (c *Cluster) prepareNodes() error {
	wanted := c.options.RealNodes
	switch {
	case wanted == 0:
		return nil
	case wanted < 0 || wanted > MaxRealNodes:
		return fmt.Errorf("number of real nodes %d: use 0 to %d", wanted, MaxRealNodes)
	case c.options.Detached:
		return errors.New("real nodes end with their program: start the cluster without Detached")
	case !Isolated():
		return errors.New("real nodes would change this machine's network and mounts: call cluster.Isolate first")
	}
	if c.options.NodeBinary == "" {
		c.options.NodeBinary = filepath.Join(filepath.Dir(c.options.Binary), "node")
	}
	for _, binary := range []string{c.options.NodeBinary, c.pauseBinary()} {
		if _, err := os.Stat(binary); err != nil {
			return fmt.Errorf("find the programs of real nodes, which `make node` builds: %w", err)
		}
	}
	for _, program := range []string{"containerd", "ctr", "runc", "iptables", "ip"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("find the programs of real nodes, which `make node-packages` installs: %w", err)
		}
	}
	_, err := pluginFolder()
	return err
}

func (c *Cluster) pauseBinary() string {
	return filepath.Join(filepath.Dir(c.options.NodeBinary), "pause")
}

// pluginFolder returns where the CNI plugins are: first where Debian puts them, then where everybody else does.
func pluginFolder() (string, error) {
	for _, folder := range []string{"/usr/lib/cni", "/opt/cni/bin"} {
		if _, err := os.Stat(filepath.Join(folder, "bridge")); err == nil {
			return folder, nil
		}
	}
	return "", errors.New("find the CNI plugins of real nodes: run `make node-packages`")
}

// connectNodes creates the bridges. Without a default route the addresses of Services would be unreachable before
// kube-proxy's rules see them; where it leads to does not matter.
func (c *Cluster) connectNodes(ctx context.Context) error {
	for number, name := range nodeNames[:c.options.RealNodes] {
		node := realNode{number: number, name: name, dir: c.path(name), state: filepath.Join("/run", name)}
		c.nodes = append(c.nodes, node)
		commands := []string{
			"ip link add " + node.bridge() + " type bridge",
			"ip address add " + node.address() + "/24 dev " + node.bridge(),
			"ip link set " + node.bridge() + " up",
			"ip route replace default dev " + node.bridge(),
		}
		for _, command := range commands {
			words := strings.Fields(command)
			if err := run(ctx, words[0], words[1:]...); err != nil {
				return err
			}
		}
	}
	if len(c.nodes) == 0 {
		return nil
	}
	c.cgroup = newCgroupName()
	if err := createCgroup(c.cgroup); err != nil {
		return err
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o600); err != nil {
		return fmt.Errorf("let nodes reach each other's pods: %w", err)
	}
	return nil
}

// startNodes starts what the nodes run, and waits until they are Ready.
func (c *Cluster) startNodes(ctx context.Context) error {
	if len(c.nodes) == 0 {
		return nil
	}
	pause := c.path("pause.tar")
	if err := image.Pause(c.pauseBinary()).Archive(pause); err != nil {
		return err
	}
	for _, node := range c.nodes {
		if err := c.startContainerd(ctx, node, pause); err != nil {
			return err
		}
	}
	proxy, err := c.launch(ctx, c.kubeProxy)
	if err != nil {
		return err
	}
	// One after the other. All kubelets listen on the same fixed path for device plugins, after they have removed the file
	// there. Two kubelets together would fail, because the path is in use.
	for _, node := range c.nodes {
		kubelet, err := c.launch(ctx, func(port int) component { return c.kubelet(node, port) })
		if err != nil {
			return err
		}
		if err := c.awaitNode(ctx, node, kubelet); err != nil {
			return err
		}
	}
	return c.awaitReady(ctx, http.DefaultClient, proxy)
}

// startContainerd returns once it can run pods.
func (c *Cluster) startContainerd(ctx context.Context, node realNode, pause string) error {
	if err := c.writeNodeConfigs(node); err != nil {
		return err
	}
	containerd, err := c.launch(ctx, func(int) component { return c.containerd(node) })
	if err != nil {
		return err
	}
	err = c.await(ctx, containerd, containerd.name, func(ctx context.Context) error {
		connection, err := new(net.Dialer).DialContext(ctx, "unix", node.socket())
		if err != nil {
			return err
		}
		return connection.Close()
	})
	if err != nil {
		return err
	}
	return node.load(ctx, pause)
}

func (c *Cluster) awaitNode(ctx context.Context, node realNode, kubelet component) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	return c.await(ctx, kubelet, "node "+node.name, func(ctx context.Context) error {
		registered, err := client.CoreV1().Nodes().Get(ctx, node.name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if len(registered.Spec.Taints) > 0 {
			return fmt.Errorf("it still has the taint %s", registered.Spec.Taints[0].Key)
		}
		for _, condition := range registered.Status.Conditions {
			if condition.Type == corev1.NodeReady && condition.Status != corev1.ConditionTrue {
				return fmt.Errorf("not Ready: %s", condition.Message)
			}
		}
		return nil
	})
}

// run runs a short program. Its error has the program's output.
func run(ctx context.Context, program string, args ...string) error {
	output, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}
