package cluster

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/adapter/check"
	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/gate"
	"github.com/example/ksmscale/nodes"
	"github.com/example/ksmscale/plugin/printer"
	"github.com/example/ksmscale/scaling"
)

// logLines is how many lines of a log are read.
const logLines = 1000

// Cluster is the cluster that a command is about.
type Cluster struct {
	Client   client.Client
	Metadata metadata.Interface
	Config   *rest.Config
	// Discovery reads versions, kinds and paths of the API server.
	Discovery discovery.DiscoveryInterface
	// MetricsServed returns what is wrong with the external metrics of all KSMScales.
	MetricsServed func(ctx context.Context) error
	// Logs returns the end of the log of a container.
	Logs func(ctx context.Context, pod *corev1.Pod, container string) ([]byte, error)
	// GateMetrics returns the metrics of the gate of a pod.
	GateMetrics func(ctx context.Context, pod *corev1.Pod) ([]byte, error)
	// ServedCertificate returns the certificate that a pod of the adapter serves.
	ServedCertificate func(ctx context.Context, pod *corev1.Pod) (*x509.Certificate, error)
	Clock             clock.PassiveClock
	// Find returns the object that arguments name.
	Find func(args []string) (Target, error)
	// GateAnswer returns why the gate of a pod is closed, in its own words.
	GateAnswer func(ctx context.Context, pod *corev1.Pod) (string, error)
	// ReadPod returns the objects that the kube-state-metrics of a pod exposes.
	ReadPod func(ctx context.Context, pod *corev1.Pod, with Access) (gate.Exposed, error)
}

// NewScheme returns the kinds that the plugin reads.
func NewScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	return scheme, errors.Join(clientgoscheme.AddToScheme(scheme), apiregistrationv1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme))
}

// Connect returns the cluster that the flags name, or an error if its API server does not answer.
func Connect(flags *genericclioptions.ConfigFlags) (*Cluster, error) {
	config, err := flags.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	config = rest.AddUserAgent(config, "kubectl-ksmscale")
	// A person waits, and the API server has priority and fairness.
	config.QPS = -1
	scheme, err := NewScheme()
	if err != nil {
		return nil, err
	}
	objects, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("create the client: %w", err)
	}
	names, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("create the client: %w", err)
	}
	clientset, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("create the client: %w", err)
	}
	// All commands need the API server. Without it, each of their requests would fail in its own words.
	if _, err := clientset.Discovery().ServerVersion(); err != nil && !apierrors.IsForbidden(err) {
		return nil, fmt.Errorf("the API server at %s does not answer, so check that `kubectl version` works: %w", config.Host, err)
	}
	c := &Cluster{Client: objects, Metadata: names, Config: config, Discovery: clientset.Discovery(), Clock: clock.RealClock{}}
	c.GateAnswer, c.ReadPod, c.ServedCertificate = c.readGate, c.readMonitor, c.readServedCertificate
	c.MetricsServed = func(ctx context.Context) error {
		return check.Once(klog.NewContext(ctx, logr.Discard()), clientset.Discovery())
	}
	c.Logs = func(ctx context.Context, pod *corev1.Pod, container string) ([]byte, error) {
		return clientset.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Container: container, TailLines: new(int64(logLines))}).DoRaw(ctx)
	}
	c.GateMetrics = func(ctx context.Context, pod *corev1.Pod) ([]byte, error) {
		answer, err := c.getFromGate(ctx, pod, "/metrics", maxGateMetrics)
		return []byte(answer), err
	}
	c.Find = func(args []string) (Target, error) { return find(flags, args) }
	return c, nil
}

// KSMScale returns a KSMScale. Its error says what to do if there is none, or no kind KSMScale.
func (c *Cluster) KSMScale(ctx context.Context, name string) (*v1alpha1.KSMScale, error) {
	ksmScale := &v1alpha1.KSMScale{}
	err := c.Client.Get(ctx, client.ObjectKey{Name: name}, ksmScale)
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("KSMScale %q does not exist: `kubectl get ksmscales` lists the names", name)
	}
	return ksmScale, Explained(err)
}

// KSMScales returns all KSMScales.
func (c *Cluster) KSMScales(ctx context.Context) ([]v1alpha1.KSMScale, error) {
	var list v1alpha1.KSMScaleList
	err := c.Client.List(ctx, &list)
	return list.Items, Explained(err)
}

// Explained adds what to do about a cluster without KSMScale.
func Explained(err error) error {
	if meta.IsNoMatchError(err) {
		return fmt.Errorf("the cluster has no KSMScales, because KSMScale is not installed: `kubectl ksmscale check --pre` tells whether you can install it (%w)", err)
	}
	return err
}

// Snapshot reads the objects of a KSMScale.
func (c *Cluster) Snapshot(ctx context.Context, ksmScale *v1alpha1.KSMScale) (observation.Snapshot, error) {
	return observation.Owned(ctx, c.Client, ksmScale, observation.LabelledKSMScale(ksmScale.Name))
}

// Counted returns the picture of the cluster for each spec, from one list of the nodes. Without the right to list nodes, it returns the
// pictures in the status.
func (c *Cluster) Counted(ctx context.Context, ksmScales ...*v1alpha1.KSMScale) ([]scaling.Cluster, error) {
	var list corev1.NodeList
	err := c.Client.List(ctx, &list)
	pictures := make([]scaling.Cluster, len(ksmScales))
	areReported := !slices.ContainsFunc(ksmScales, func(one *v1alpha1.KSMScale) bool { return one.Status.Nodes == nil })
	if apierrors.IsForbidden(err) && areReported {
		for i, one := range ksmScales {
			pictures[i] = Reported(one)
		}
		return pictures, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	counter := nodes.NewCounter(clock.RealClock{})
	// The first requests name the labels of the specs, so the listing keeps them.
	for _, one := range ksmScales {
		counter.Cluster(&one.Spec)
	}
	objects := make([]any, len(list.Items))
	for i := range list.Items {
		objects[i] = &list.Items[i]
	}
	if err := counter.Listing().Replace(objects, list.ResourceVersion); err != nil {
		return nil, fmt.Errorf("count nodes: %w", err)
	}
	for i, one := range ksmScales {
		pictures[i], _, _ = counter.Cluster(&one.Spec)
	}
	return pictures, nil
}

// Reported is the picture of the cluster in the status of a KSMScale.
func Reported(ksmScale *v1alpha1.KSMScale) scaling.Cluster {
	status := &ksmScale.Status
	picture := scaling.Cluster{Nodes: int(status.NodeCount)}
	if status.Nodes != nil {
		picture.Registered, picture.Schedulable = int(status.Nodes.Registered), int(status.Nodes.Schedulable)
	}
	return picture
}

// WaitingFor is what an unready pod waits for: a node, a container, or the answer of its gate.
func WaitingFor(pod *corev1.Pod, gate string) string {
	if observation.IsReady(pod) {
		return ""
	}
	if observation.IsUnschedulable(pod) {
		return "no node: " + observation.PodCondition(pod, corev1.PodScheduled).Message
	}
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if waiting := status.State.Waiting; waiting != nil {
			return strings.TrimSuffix(fmt.Sprintf("container %s, %s: %s", status.Name, waiting.Reason, printer.FirstLine(waiting.Message)), ": ")
		}
	}
	if gate != "" {
		return gate
	}
	return "pod is " + string(pod.Status.Phase)
}
