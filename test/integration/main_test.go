// Package integration has the tests that need a real control plane: etcd, API server, HPA controller, scheduler,
// and KWOK's nodes and pods. Adapter and controller run as processes under the service accounts of
// config/default.
package integration

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/klog/v2"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/cluster"
	"github.com/example/ksmscale/test/installation"
	"github.com/example/ksmscale/test/walk"
)

// shared is what all tests use one after the other. A test that stops a component starts it again.
var shared struct {
	cluster    *cluster.Cluster
	installed  *installation.Installation
	controller *installation.Component
	adapter    *installation.Component
	client     client.WithWatch
	walker     *walk.Walker
	// nodes is the last requested number of nodes.
	nodes int
}

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if os.Getenv(clusterDirVariable) != "" {
		return m.Run()
	}
	// Ctrl-C cancels the start; later it ends this process, and the kernel ends those that it started.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	log.SetLogger(klog.Background())
	err := start(ctx)
	stop()
	code := 1
	if err == nil {
		code = m.Run()
	} else {
		fmt.Fprintln(os.Stderr, err)
	}
	if shared.cluster == nil {
		return code
	}
	if code != 0 {
		keepLogs()
	}
	if err := shared.cluster.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func start(ctx context.Context) error {
	var err error
	shared.cluster, err = cluster.Start(ctx, cluster.Options{
		HPASyncPeriod:             time.Second,
		HPADownscaleStabilization: new(time.Duration(0)),
		Progress:                  os.Stderr,
	})
	if err != nil {
		return err
	}
	if shared.installed, err = installation.Install(ctx, shared.cluster); err != nil {
		return err
	}
	if shared.controller, shared.adapter, err = shared.installed.StartAll(ctx); err != nil {
		return err
	}
	if shared.walker, err = walk.New(shared.cluster.Config()); err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, apiregistrationv1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	shared.client, err = client.NewWithWatch(shared.cluster.Config(), client.Options{Scheme: scheme})
	return err
}

func keepLogs() {
	directory, err := shared.cluster.KeepLogs()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	fmt.Fprintf(os.Stderr, "The logs of all components are in %s\n", directory)
}
