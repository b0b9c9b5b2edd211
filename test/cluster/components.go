package cluster

import (
	"context"
	_ "embed"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"k8s.io/client-go/util/cert"
)

// The components, which are also the keys of Options.Flags. The log of each is NAME.log in the folder of Cluster.Logs.
// Each real node has a kubelet-NODE and a containerd-NODE.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	KWOK              = "kwok"
	KubeProxy         = "kube-proxy"
)

const (
	admin              = "admin"
	kubeletClient      = "kube-apiserver-kubelet-client"
	proxyUser          = "front-proxy-client"
	serviceRange       = "10.96.0.0/16"
	apiServerServiceIP = "10.96.0.1"
)

const (
	nodeGracePeriod = 10 * time.Minute
	// nodeLeaseDuration makes KWOK renew each lease once a minute. Kubelets do so every 10 seconds, which would overload
	// this machine with thousands of nodes.
	nodeLeaseDuration = 4 * time.Minute
)

// users are the clients with a certificate, by the name of its files. KWOK has all rights, like the admin, but another
// name, so the audit log shows which of them acted.
var users = map[string]cert.Config{
	admin:             clientConfig(admin, "system:masters"),
	ControllerManager: clientConfig("system:kube-controller-manager"),
	Scheduler:         clientConfig("system:kube-scheduler"),
	KWOK:              clientConfig(KWOK, "system:masters"),
	KubeProxy:         clientConfig("system:kube-proxy"),
	kubeletClient:     clientConfig(kubeletClient, "system:masters"),
	nodeNames[0]:      clientConfig("system:node:"+nodeNames[0], "system:nodes"),
	nodeNames[1]:      clientConfig("system:node:"+nodeNames[1], "system:nodes"),
}

//go:embed audit-policy.yaml
var auditPolicy []byte

// component is a part of the control plane, ready to be started.
type component struct {
	name string
	// url is where it listens, and health the path that answers 200 once it does its work.
	url, health string
	flags       []string
	// program is the program with its first arguments. Default: the kube binary with the name.
	program []string
	process *Process // once launched
}

// etcd does not survive a power cut: tests are fast because it does not wait for the disk. No client connects to its peer
// address, so it listens for peers on any free port.
func (c *Cluster) etcd(port int) component {
	url, peerURL := "http://"+address(port), "http://127.0.0.1:2380"
	return component{name: Etcd, url: url, health: "/readyz", flags: []string{
		"--name=local",
		"--data-dir=" + c.path("etcd"),
		"--listen-client-urls=" + url,
		"--advertise-client-urls=" + url,
		"--listen-peer-urls=http://127.0.0.1:0",
		"--initial-advertise-peer-urls=" + peerURL,
		"--initial-cluster=local=" + peerURL,
		"--unsafe-no-fsync",
		"--quota-backend-bytes=8589934592",
		"--log-level=warn",
	}}
}

// apiServer's request limits are far above the defaults, which creating thousands of objects together would reach.
func (c *Cluster) apiServer(port int, etcdURL string) component {
	flags := append(c.apiServerAddress(),
		"--etcd-servers="+etcdURL,
		"--secure-port="+strconv.Itoa(port),
		"--tls-cert-file="+c.pki().certFile("server"),
		"--tls-private-key-file="+c.pki().keyFile("server"),
		"--client-ca-file="+c.pki().certFile("ca"),
		"--authorization-mode=Node,RBAC",
		"--allow-privileged",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+c.pki().keyFile("service-account"),
		"--service-account-signing-key-file="+c.pki().keyFile("service-account"),
		"--service-cluster-ip-range="+serviceRange,
		"--requestheader-client-ca-file="+c.pki().certFile("proxy-ca"),
		"--requestheader-allowed-names="+proxyUser,
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file="+c.pki().certFile(proxyUser),
		"--proxy-client-key-file="+c.pki().keyFile(proxyUser),
		"--enable-aggregator-routing=false",
		"--max-requests-inflight=3000",
		"--max-mutating-requests-inflight=1000",
		"--audit-policy-file="+c.path("audit-policy.yaml"),
		"--audit-log-path="+c.AuditLog(),
		// The log is never rotated, so a reader's offset stays valid.
		"--audit-log-maxsize=0",
	)
	at := address(port)
	if c.options.RealNodes > 0 {
		at = net.JoinHostPort(nodeAddress(0), strconv.Itoa(port))
	}
	return component{name: APIServer, url: "https://" + at, health: "/readyz", flags: flags}
}

// apiServerAddress is how pods reach the API server, through the kubernetes Service. Without real nodes there is
// no endpoint reconciler: the API server listens on loopback, which is no valid endpoint of that Service.
func (c *Cluster) apiServerAddress() []string {
	if c.options.RealNodes == 0 {
		return []string{"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none"}
	}
	return []string{
		// Another one may listen at the same port of another node's address; see AddAPIServer.
		"--bind-address=" + nodeAddress(0),
		"--advertise-address=" + nodeAddress(0),
		"--kubelet-preferred-address-types=InternalIP",
		// The kubelets' own certificates are not verified: they sign them themselves.
		"--kubelet-client-certificate=" + c.pki().certFile(kubeletClient),
		"--kubelet-client-key=" + c.pki().keyFile(kubeletClient),
	}
}

func (c *Cluster) controllerManager(port int) component {
	flags := append(c.controllerFlags(ControllerManager, port),
		"--service-account-private-key-file="+c.pki().keyFile("service-account"),
		"--root-ca-file="+c.pki().certFile("ca"),
		"--use-service-account-credentials",
		// All components use the same machine, so heartbeats can be late. A pod whose node counts as dead would stay
		// unready, because no kubelet reports it ready again.
		"--node-monitor-grace-period="+nodeGracePeriod.String(),
		// It would write to each node repeatedly as the cluster grows, for kubelets that do not exist.
		"--controllers=*,-ttl-controller",
	)
	if period := c.options.HPASyncPeriod; period > 0 {
		flags = append(flags, "--horizontal-pod-autoscaler-sync-period="+period.String())
	}
	if window := c.options.HPADownscaleStabilization; window != nil {
		flags = append(flags, "--horizontal-pod-autoscaler-downscale-stabilization="+window.String())
	}
	return component{name: ControllerManager, url: "https://" + address(port), health: "/healthz", flags: flags}
}

func (c *Cluster) scheduler(port int) component {
	return component{
		name: Scheduler, url: "https://" + address(port), health: "/readyz",
		flags: c.controllerFlags(Scheduler, port),
	}
}

// controllerFlags are the flags of both the controller manager and the scheduler.
func (c *Cluster) controllerFlags(name string, port int) []string {
	kubeconfig := c.kubeconfigOf(name)
	return []string{
		"--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(port),
		"--tls-cert-file=" + c.pki().certFile("server"),
		"--tls-private-key-file=" + c.pki().keyFile("server"),
		"--leader-elect=false",
		"--kube-api-qps=500",
		"--kube-api-burst=1000",
	}
}

func (c *Cluster) kwok(port int) component {
	return component{name: KWOK, url: "http://" + address(port), health: "/readyz", flags: []string{
		"--kubeconfig=" + c.kubeconfigOf(KWOK),
		"--config=" + c.path("kwok-stages.yaml"),
		"--server-address=" + address(port),
		"--manage-all-nodes=false",
		"--manage-nodes-with-annotation-selector=" + fakeAnnotation + "=" + fakeValue,
		"--node-lease-duration-seconds=" + strconv.Itoa(int(nodeLeaseDuration.Seconds())),
	}}
}

// writeConfigs writes the files that the components' flags name, except keys and kubeconfigs.
func (c *Cluster) writeConfigs(ctx context.Context) error {
	if err := os.WriteFile(c.path("audit-policy.yaml"), auditPolicy, 0o600); err != nil {
		return fmt.Errorf("write audit policy: %w", err)
	}
	stages, err := exec.CommandContext(ctx, c.options.Binary, "kwok-stages").Output()
	if err != nil {
		return fmt.Errorf("%s kwok-stages: %w", c.options.Binary, err)
	}
	if err := os.WriteFile(c.path("kwok-stages.yaml"), stages, 0o600); err != nil {
		return fmt.Errorf("write stages of KWOK: %w", err)
	}
	return nil
}

func (c *Cluster) path(name string) string         { return filepath.Join(c.dir, name) }
func (c *Cluster) kubeconfigOf(user string) string { return c.path(user + ".kubeconfig") }
func (c *Cluster) pki() pki                        { return pki{c.path("pki")} }

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
