// Package installation installs KSMScale on a local cluster like a user, from config/default. It runs its adapter and
// controller as processes of this machine, with the service accounts of the installation. Start with Install. On a cluster with
// real nodes, StartRealNodes and AwaitPods do the same for pods. Tests, the demo and the lab start, kill and restart the
// components through this package.
package installation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/example/ksmscale/test/cluster"
)

// Names in config/default.
const (
	Namespace         = "ksmscale-system"
	ControllerAccount = "ksmscale-controller"
	AdapterAccount    = "ksmscale-adapter"

	adapterService = "ksmscale-adapter"
)

const (
	pollInterval = 100 * time.Millisecond
	waitTimeout  = 10 * time.Minute
	// stopTimeout is how long a kubelet waits by default.
	stopTimeout = 30 * time.Second
)

// Installation is KSMScale on a cluster. Its methods may be called from several goroutines.
type Installation struct {
	cluster *cluster.Cluster
	client  *kubernetes.Clientset
	root    string
	// adapterPort is the same for all adapters, like the port of a Service.
	adapterPort int
	// mounting has one certificate mounted at a time.
	mounting sync.Mutex
}

// Install applies config/default with kubectl and strict validation, and has processes stand in for its pods.
func Install(ctx context.Context, on *cluster.Cluster) (*Installation, error) {
	i, err := On(ctx, on)
	if err != nil {
		return nil, err
	}
	return i, i.Apply(ctx)
}

// On returns the installation on a cluster that another program installs, such as Helm. Call StandIn once it is installed.
func On(ctx context.Context, on *cluster.Cluster) (*Installation, error) {
	binary, err := cluster.FindBinary()
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(on.Config())
	if err != nil {
		return nil, fmt.Errorf("create a client: %w", err)
	}
	port, err := cluster.FreePort(ctx)
	if err != nil {
		return nil, err
	}
	i := &Installation{cluster: on, client: client, root: filepath.Dir(filepath.Dir(binary)), adapterPort: port}
	return i, os.MkdirAll(i.certificateDirectory(), 0o700)
}

// Apply does what Install does to the cluster, and is an upgrade if done again.
func (i *Installation) Apply(ctx context.Context) error {
	// Conflicts are with what the processes need to stand in.
	if _, err := i.Kubectl(ctx, "apply", "--server-side", "--force-conflicts", "--validate=strict", "-k", filepath.Join(i.root, "config/default")); err != nil {
		return err
	}
	return i.StandIn(ctx)
}

// Kubectl runs kubectl as the cluster's administrator and returns its output. Its error contains kubectl's error output.
func (i *Installation) Kubectl(ctx context.Context, args ...string) (string, error) {
	command := exec.CommandContext(ctx, filepath.Join(i.root, "bin", "kubectl"), append([]string{"--kubeconfig", i.cluster.Kubeconfig()}, args...)...)
	var output, problems bytes.Buffer
	command.Stdout, command.Stderr = &output, &problems
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("kubectl %v: %w: %s", args, err, problems.String())
	}
	return output.String(), nil
}

// StandIn replaces the parts that need real nodes. The Deployments get no replicas, because processes run instead of them.
// The adapter's Service leads to localhost.
func (i *Installation) StandIn(ctx context.Context) error {
	if _, err := i.Kubectl(ctx, "scale", "--replicas=0", "-n", Namespace, "deployment", "--all"); err != nil {
		return err
	}
	// The object still belongs to its installer, who changes and deletes it.
	external := []byte(`{"spec":{"type":"ExternalName","externalName":"localhost"}}`)
	if _, err := i.client.CoreV1().Services(Namespace).Patch(ctx, adapterService, types.StrategicMergePatchType, external, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("point the adapter's Service to localhost: %w", err)
	}
	return nil
}

// Component is an adapter or a controller that runs.
type Component struct {
	*cluster.Process
	// HealthURL is where its probes are served, without a path.
	HealthURL string
	// MetricsURL is where its own metrics are served.
	MetricsURL string
}

// Stop ends the component as a kubelet does, and waits until it has ended.
func (c *Component) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	return c.Terminate(ctx)
}

// StartController starts a controller under a name that its log gets. Several elect a leader. Flags come on top of the others.
func (i *Installation) StartController(ctx context.Context, name string, flags ...string) (*Component, error) {
	kubeconfig, err := i.kubeconfig(ctx, ControllerAccount)
	if err != nil {
		return nil, err
	}
	ports, err := cluster.FreePorts(ctx, 2)
	if err != nil {
		return nil, err
	}
	metrics, health := ports[0], ports[1]
	return i.start(ctx, name, "controller", &Component{
		HealthURL:  "http://" + address(health),
		MetricsURL: "https://" + address(metrics) + "/metrics",
	}, append([]string{
		"--kubeconfig=" + kubeconfig,
		"--namespace=" + Namespace,
		"--gate-image=ksmscale",
		"--adapter-service-port=" + strconv.Itoa(i.adapterPort),
		"--certificate-directory=" + i.certificateDirectory(),
		"--metrics-bind-address=" + address(metrics),
		"--health-probe-bind-address=" + address(health),
		// A machine that is busy with all of Kubernetes may answer late, and no kubelet restarts who lost its lease.
		"--leader-elect-lease-duration=30s",
		"--leader-elect-renew-deadline=25s",
	}, flags...)...)
}

// StartAdapter starts an adapter. name is the name of its log. It waits until a controller has created the certificate,
// like a kubelet with a pod that mounts it. flags are added to the flags of config/default.
func (i *Installation) StartAdapter(ctx context.Context, name string, flags ...string) (*Component, error) {
	kubeconfig, err := i.kubeconfig(ctx, AdapterAccount)
	if err != nil {
		return nil, err
	}
	if err := i.MountCertificate(ctx); err != nil {
		return nil, err
	}
	url := "https://" + address(i.adapterPort)
	return i.start(ctx, name, "adapter", &Component{HealthURL: url, MetricsURL: url + "/metrics"}, append(flags,
		"--kubeconfig="+kubeconfig,
		"--bind-address=127.0.0.1",
		"--secure-port="+strconv.Itoa(i.adapterPort),
		"--permit-port-sharing",
		"--shutdown-delay-duration=0s",
		"--tls-cert-file="+filepath.Join(i.certificateDirectory(), corev1.TLSCertKey),
		"--tls-private-key-file="+filepath.Join(i.certificateDirectory(), corev1.TLSPrivateKeyKey))...)
}

// StartAll starts a controller and an adapter, and waits until external metrics are served.
func (i *Installation) StartAll(ctx context.Context) (controller, adapter *Component, err error) {
	if controller, err = i.StartController(ctx, "controller"); err != nil {
		return nil, nil, err
	}
	if adapter, err = i.StartAdapter(ctx, "adapter"); err != nil {
		return nil, nil, err
	}
	return controller, adapter, i.AwaitMetrics(ctx)
}

// Check runs the adapter's check of external metrics as a service account, and returns an error if they are not served in time.
func (i *Installation) Check(ctx context.Context, account string, timeout time.Duration) error {
	kubeconfig, err := i.kubeconfig(ctx, account)
	if err != nil {
		return err
	}
	output, err := exec.CommandContext(ctx, filepath.Join(i.root, "bin", "adapter"), "check",
		"--kubeconfig="+kubeconfig, "--timeout="+timeout.String()).CombinedOutput()
	if err != nil {
		return fmt.Errorf("check external metrics: %w: %s", err, output)
	}
	return nil
}

// AwaitMetrics waits until the API server passes requests for external metrics on to an adapter.
func (i *Installation) AwaitMetrics(ctx context.Context) error {
	return await(ctx, "external metrics", func(ctx context.Context) error {
		return i.client.RESTClient().Get().AbsPath(externalMetrics).Do(ctx).Error()
	})
}

// start starts a component with the arguments of its Deployment, except those flags.
func (i *Installation) start(ctx context.Context, name, binary string, component *Component, flags ...string) (*Component, error) {
	deployment, err := i.client.AppsV1().Deployments(Namespace).Get(ctx, "ksmscale-"+binary, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("get the Deployment of the %s: %w", binary, err)
	}
	return i.run(name, binary, component, slices.Concat(deployment.Spec.Template.Spec.Containers[0].Args, flags)...)
}

// run starts a component with just those flags.
func (i *Installation) run(name, binary string, component *Component, flags ...string) (*Component, error) {
	var err error
	component.Process, err = cluster.StartProcess(name, filepath.Join(i.cluster.Logs(), name+".log"),
		exec.Command(filepath.Join(i.root, "bin", binary), flags...))
	return component, err
}

func (i *Installation) kubeconfig(ctx context.Context, account string) (string, error) {
	path := filepath.Join(i.cluster.Dir(), account+".kubeconfig")
	return path, i.cluster.KubeconfigFor(ctx, Namespace, account, path)
}

func (i *Installation) certificateDirectory() string {
	return filepath.Join(i.cluster.Dir(), "certificate")
}

// MountCertificate writes the certificate of the Secret for the adapters, as soon as it exists, like a kubelet. They load
// it while they serve.
func (i *Installation) MountCertificate(ctx context.Context) error {
	i.mounting.Lock()
	defer i.mounting.Unlock()
	return await(ctx, "the adapter's certificate", func(ctx context.Context) error {
		adapter, err := i.client.AppsV1().Deployments(Namespace).Get(ctx, AdapterAccount, metav1.GetOptions{})
		if err != nil {
			return err
		}
		secret, err := i.client.CoreV1().Secrets(Namespace).Get(ctx, adapter.Spec.Template.Spec.Volumes[0].Secret.SecretName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		files := map[string][]byte{}
		for _, key := range []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey} {
			if len(secret.Data[key]) == 0 {
				return apierrors.NewNotFound(corev1.Resource("secrets"), key)
			}
			files[key] = secret.Data[key]
		}
		return mount(i.certificateDirectory(), files)
	})
}

// mount writes files into a directory like a kubelet. They are links into a subdirectory, which a new one replaces
// atomically.
func mount(directory string, files map[string][]byte) error {
	content, err := os.MkdirTemp(directory, "..")
	if err != nil {
		return err
	}
	for name, file := range files {
		if err := os.WriteFile(filepath.Join(content, name), file, 0o600); err != nil {
			return err
		}
	}
	const data = "..data"
	link := filepath.Join(directory, data)
	previous, err := os.Readlink(link)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Symlink(filepath.Base(content), link+"_tmp"); err != nil {
		return err
	}
	if err := os.Rename(link+"_tmp", link); err != nil {
		return err
	}
	for name := range files {
		if err := os.Symlink(filepath.Join(data, name), filepath.Join(directory, name)); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	if previous == "" {
		return nil
	}
	return os.RemoveAll(filepath.Join(directory, previous))
}

// await polls until there is no error, and otherwise returns the last one.
func await(ctx context.Context, what string, ready func(context.Context) error) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, pollInterval, waitTimeout, true, func(ctx context.Context) (bool, error) {
		last = ready(ctx)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("wait for %s: %w", what, errors.Join(err, last))
	}
	return nil
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
