// Package e2e has the tests that need really running pods. They run on two real nodes of a local cluster, in separate
// namespaces of Linux, as root. With KUBECONFIG, they run on that cluster, which must have the images.
package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/cluster"
	"github.com/example/ksmscale/test/installation"
)

const (
	pollInterval = time.Second
	// waitTimeout only limits a failing test. All waits end as soon as their event has happened.
	waitTimeout = 10 * time.Minute
	// interrupted is the exit code of a program that Ctrl-C has ended.
	interrupted = 130
)

// shared is what all tests use one after the other.
var shared struct {
	// root is the checkout.
	root string
	// cluster is nil if the tests run on the cluster of KUBECONFIG.
	cluster    *cluster.Cluster
	kubeconfig string
	config     *rest.Config
	client     client.WithWatch
	clientset  *kubernetes.Clientset
}

func TestMain(m *testing.M) {
	log.SetLogger(klog.Background())
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := start(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(stopCluster(true), 1)
	}
	result := make(chan int)
	go func() { result <- m.Run() }()
	code := interrupted
	select {
	case code = <-result:
	case <-ctx.Done():
	}
	return max(code, stopCluster(code != 0))
}

func start(ctx context.Context) error {
	binary, err := cluster.FindBinary()
	if err != nil {
		return err
	}
	shared.root = filepath.Dir(filepath.Dir(binary))
	if shared.kubeconfig = os.Getenv("KUBECONFIG"); shared.kubeconfig == "" {
		if err := startLocal(ctx); err != nil {
			return err
		}
	}
	if shared.config, err = clientcmd.BuildConfigFromFlags("", shared.kubeconfig); err != nil {
		return fmt.Errorf("load kubeconfig: %w", err)
	}
	shared.config.QPS, shared.config.Burst = 200, 400
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, apiregistrationv1.AddToScheme, v1alpha1.AddToScheme, monitoringv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	if shared.client, err = client.NewWithWatch(shared.config, client.Options{Scheme: scheme}); err != nil {
		return fmt.Errorf("create client: %w", err)
	}
	shared.clientset, err = kubernetes.NewForConfig(shared.config)
	return err
}

func startLocal(ctx context.Context) error {
	if err := cluster.Isolate(); err != nil {
		return err
	}
	var err error
	if shared.cluster, err = installation.StartRealNodes(ctx, shared.root, os.Stderr); err != nil {
		return err
	}
	shared.kubeconfig = shared.cluster.Kubeconfig()
	return nil
}

// stopCluster returns an exit code.
func stopCluster(failed bool) int {
	if shared.cluster == nil {
		return 0
	}
	if failed {
		directory, err := shared.cluster.KeepLogs()
		fmt.Fprintf(os.Stderr, "The logs of all components and pods are in %s (%v)\n", directory, err)
	}
	if err := shared.cluster.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// needsLocal skips tests that look at a node from the inside.
func needsLocal(t *testing.T) {
	t.Helper()
	if shared.cluster == nil {
		t.Skip("needs the local cluster: unset KUBECONFIG")
	}
}

// kubectl runs kubectl as the cluster's administrator and returns its output. It also runs in cleanups, when the context
// of the test is done.
func kubectl(t *testing.T, arguments ...string) string {
	t.Helper()
	output, err := tryKubectl(arguments...)
	require.NoError(t, err)
	return output
}

// tryKubectl is kubectl for requests that may fail.
func tryKubectl(arguments ...string) (string, error) {
	command := exec.Command(filepath.Join(shared.root, "bin", "kubectl"), append([]string{"--kubeconfig", shared.kubeconfig}, arguments...)...)
	output, err := command.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("kubectl %v: %w: %s", arguments, err, output)
	}
	return string(output), nil
}

// await polls until there is no error, and otherwise fails the test with the last one.
func await(t *testing.T, what string, ready func(ctx context.Context) error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), pollInterval, waitTimeout, true, func(ctx context.Context) (bool, error) {
		err := ready(ctx)
		if ctx.Err() == nil || last == nil {
			// Otherwise the error would only state that the time is over.
			last = err
		}
		return err == nil, nil
	})
	require.NoError(t, err, "wait for %s: %v", what, last)
}
