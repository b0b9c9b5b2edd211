// Command demo shows how a KSMScale follows the nodes of a real local cluster. It installs KSMScale from config/default,
// applies a sample, and changes the number of nodes. At each number it prints the replicas in the metrics, the
// HorizontalPodAutoscalers and the Deployments. It ends with code 1 unless all of them match the formula.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/cli"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/yaml"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/cluster"
	"github.com/example/ksmscale/test/installation"
	"github.com/example/ksmscale/test/walk"
)

const (
	sample        = "config/samples/seed/medium-sharded.yaml"
	hpaSyncPeriod = time.Second
	stepTimeout   = 3 * time.Minute
)

// steps are the numbers of nodes, and the replicas that 15 nodes per monitor give each of 3 shards.
var steps = []struct {
	nodes    int
	expected []int32
}{
	{10, []int32{1, 1, 1}},
	{45, []int32{1, 1, 1}},
	{60, []int32{2, 1, 1}},
	{75, []int32{2, 2, 1}},
	{90, []int32{2, 2, 2}},
	{300, []int32{7, 7, 6}},
	{45, []int32{1, 1, 1}},
}

func main() {
	record := ""
	command := &cobra.Command{
		Use:          "demo",
		Short:        "Shows a KSMScale follow the nodes of a real local cluster",
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(command *cobra.Command, _ []string) error {
			log.SetLogger(klog.Background())
			ctx, stop := signal.NotifyContext(command.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			recording := &walk.Recording{}
			return errors.Join(demo(ctx, command.OutOrStdout(), recording), save(recording, record))
		},
	}
	command.Flags().StringVar(&record, "record", "", "file for the nodes and replicas over time, as JSON")
	os.Exit(cli.Run(command))
}

func demo(ctx context.Context, out io.Writer, recording *walk.Recording) (err error) {
	fmt.Fprintf(out, "Starting etcd, kube-apiserver, kube-controller-manager, kube-scheduler and KWOK on this machine.\n"+
		"For a short demo the HPA controller syncs every %s instead of every 15s, and the sample's scale-down\n"+
		"stabilization is 0s instead of 300s; the rate of scaling up is the default.\n\n", hpaSyncPeriod)
	local, err := cluster.Start(ctx, cluster.Options{HPASyncPeriod: hpaSyncPeriod, Progress: out})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil && ctx.Err() == nil {
			keepLogs(out, local)
		}
		err = errors.Join(err, local.Stop())
	}()

	installed, err := installation.Install(ctx, local)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Installed config/default; starting controller and adapter.\n")
	controller, adapter, err := installed.StartAll(ctx)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, adapter.Stop(context.Background()), controller.Stop(context.Background()))
	}()

	ksmScale, err := applySample(ctx, local.Config())
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Applied %s.\n\n", sample)
	if err := walkThrough(ctx, out, local, ksmScale, recording); err != nil {
		return err
	}
	status, err := installed.Kubectl(ctx, "get", "ksmscales,horizontalpodautoscalers,deployments", "-n", ksmScale.Spec.Namespace)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\n$ kubectl get ksmscales,horizontalpodautoscalers,deployments -n %s\n%s\n", ksmScale.Spec.Namespace, status)
	return nil
}

// keepLogs saves the logs of all components from being deleted with the cluster.
func keepLogs(out io.Writer, local *cluster.Cluster) {
	directory, err := local.KeepLogs()
	if err != nil {
		fmt.Fprintf(out, "The logs are lost: %v\n", err)
		return
	}
	fmt.Fprintf(out, "The logs of all components are in %s\n", directory)
}

func applySample(ctx context.Context, config *rest.Config) (*v1alpha1.KSMScale, error) {
	root, err := repositoryRoot()
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(root, sample))
	if err != nil {
		return nil, err
	}
	ksmScale := &v1alpha1.KSMScale{}
	if err := yaml.UnmarshalStrict(data, ksmScale); err != nil {
		return nil, fmt.Errorf("read %s: %w", sample, err)
	}
	ksmScale.Spec.Autoscaling = &v1alpha1.AutoscalingConfig{Behavior: &v1alpha1.ScalingBehavior{
		ScaleDown: &v1alpha1.ScalingRules{StabilizationWindowSeconds: new(int32(0))},
	}}
	c, err := client.New(config, client.Options{})
	if err != nil {
		return nil, err
	}
	if err := v1alpha1.AddToScheme(c.Scheme()); err != nil {
		return nil, err
	}
	return ksmScale, c.Create(ctx, ksmScale)
}

func repositoryRoot() (string, error) {
	binary, err := cluster.FindBinary()
	return filepath.Dir(filepath.Dir(binary)), err
}

func walkThrough(ctx context.Context, out io.Writer, local *cluster.Cluster, ksmScale *v1alpha1.KSMScale, recording *walk.Recording) error {
	walker, err := walk.New(local.Config())
	if err != nil {
		return err
	}
	began := time.Now()
	walker.Observe = func(replicas walk.Replicas) { recording.Add(time.Since(began), replicas) }
	const row = "%6v  %-10v %-12v %-12v %-10v %-10v %8v  %v\n"
	fmt.Fprintf(out, row, "nodes", "expected", "metric", "HPA desired", "replicas", "ready", "took", "agree")
	var errs []error
	for _, step := range steps {
		start := time.Now()
		if err := local.SetNodes(ctx, step.nodes); err != nil {
			return err
		}
		replicas, err := walker.Await(ctx, ksmScale, step.nodes, step.expected, stepTimeout)
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		agree := "yes"
		if err != nil {
			agree, errs = "NO", append(errs, err)
		}
		fmt.Fprintf(out, row, step.nodes, slashed(step.expected), slashed(replicas.Metrics), slashed(replicas.Autoscalers),
			slashed(replicas.Deployments), slashed(replicas.Ready), time.Since(start).Round(100*time.Millisecond), agree)
	}
	return errors.Join(errs...)
}

// save writes a recording to a file, unless the name of the file is empty.
func save(recording *walk.Recording, file string) error {
	if file == "" {
		return nil
	}
	data, err := json.Marshal(recording)
	if err != nil {
		return fmt.Errorf("save the walk: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return fmt.Errorf("save the walk: %w", err)
	}
	return os.WriteFile(file, data, 0o600)
}

// slashed is 2/1/1 for the replicas of three shards.
func slashed(replicas []int32) string {
	texts := make([]string, len(replicas))
	for i, n := range replicas {
		texts[i] = strconv.Itoa(int(n))
	}
	return strings.Join(texts, "/")
}
