package main

import (
	"context"
	_ "embed" // for the KSMScale and the text
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/example/ksmscale/test/cluster"
	"github.com/example/ksmscale/test/cluster/image"
	"github.com/example/ksmscale/test/installation"
)

const (
	// objectsNamespace has the fake pods, of which five of six objects are.
	objectsNamespace = "shop"
	objects          = 2400
)

//go:embed ksmscale.yaml
var ksmScale string

// tries is what can be tried, in this order.
//
//go:embed try.txt
var tries string

// lab is the running lab.
type lab struct {
	cluster *cluster.Cluster
	client  *kubernetes.Clientset
	// root is the checkout.
	root string
	out  io.Writer
}

// run starts the lab, runs the shell, and stops everything. Ctrl-C stops it at any time.
func run(ctx context.Context, out io.Writer) (err error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	binary, err := cluster.FindBinary()
	if err != nil {
		return err
	}
	root := filepath.Dir(filepath.Dir(binary))
	started, err := installation.StartRealNodes(ctx, root, out)
	if err != nil {
		return err
	}
	defer func() {
		fmt.Fprintln(out, "Stopping the lab ...")
		err = errors.Join(err, started.Stop())
		if err == nil {
			fmt.Fprintln(out, "The lab has stopped, and nothing is left of it.")
		}
	}()
	client, err := kubernetes.NewForConfig(started.Config())
	if err != nil {
		return fmt.Errorf("create a client: %w", err)
	}
	l := &lab{cluster: started, client: client, root: root, out: out}
	prometheus, err := l.prepare(ctx)
	if err != nil {
		return err
	}
	fmt.Fprint(out, "\n", tries, "\n")
	return l.shell(ctx, prometheus)
}

// prepare installs everything, and returns the address of the Prometheus.
func (l *lab) prepare(ctx context.Context) (prometheus string, err error) {
	l.say("Creating %d fake pods in namespace %s", objects*5/6, objectsNamespace)
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: objectsNamespace}}
	if _, err := l.client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
		return "", err
	}
	if err := installation.CreateObjects(ctx, l.client, objectsNamespace, objects); err != nil {
		return "", err
	}
	l.say("Installing KSMScale")
	if err := l.kubectl(ctx, "", "apply", "--server-side", "-f", filepath.Join(l.root, image.InstallManifest)); err != nil {
		return "", err
	}
	if err := installation.AwaitPods(ctx, l.client); err != nil {
		return "", err
	}
	l.say("Starting Prometheus")
	if prometheus, err = l.startPrometheus(ctx); err != nil {
		return "", err
	}
	l.say("Creating KSMScale main, and waiting until it is Ready")
	if err := l.kubectl(ctx, ksmScale, "apply", "-f", "-"); err != nil {
		return "", err
	}
	return prometheus, l.kubectl(ctx, "", "wait", "ksmscale", "main", "--for=condition=Ready", "--timeout=10m")
}

func (l *lab) say(format string, values ...any) { fmt.Fprintf(l.out, format+" ...\n", values...) }

// kubectl runs kubectl as the administrator, with an input.
func (l *lab) kubectl(ctx context.Context, input string, arguments ...string) error {
	command := exec.CommandContext(ctx, filepath.Join(l.root, "bin", "kubectl"), append([]string{"--kubeconfig", l.cluster.Kubeconfig()}, arguments...)...)
	command.Stdin = strings.NewReader(input)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl %s: %w: %s", strings.Join(arguments, " "), err, output)
	}
	return nil
}
