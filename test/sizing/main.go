// Command sizing measures the memory and the CPU time of a shard, for docs/sizing.md. It fills a local cluster with pods.
// It runs the real kube-state-metrics and its gate as one shard of several. Once all objects of the shard are exposed, it
// prints what both have used, and the cost of scrapes. It compares the memory with the formula and with the recommended requests.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/example/ksmscale/test/cluster"
	"github.com/example/ksmscale/test/replica"
)

const (
	// resources are those that the cluster has many of.
	resources = "--resources=leases,namespaces,nodes,pods"
	// scrapes is the number of scrapes before memory is read, because buffered answers also use memory. The kernel counts
	// CPU time in hundredths of a second, so the mean of a few scrapes is too coarse.
	scrapes = 20
)

// options are the measured cases: each version with each number of shards, at each number of pods.
type options struct {
	pods, shards []int
	versions     []string
}

func main() {
	measured := options{}
	command := &cobra.Command{
		Use:          "sizing",
		Short:        "Measures memory and CPU time of a shard, and prints a table",
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(command *cobra.Command, _ []string) error {
			log.SetLogger(klog.Background())
			ctx, stop := signal.NotifyContext(command.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return measured.run(ctx, command.OutOrStdout())
		},
	}
	flags := command.Flags()
	flags.IntSliceVar(&measured.pods, "pods", []int{2000, 10_000, 20_000}, "Numbers of pods, from the lowest up.")
	flags.IntSliceVar(&measured.shards, "shards", []int{1, 3, 5}, "Numbers of shards.")
	flags.StringSliceVar(&measured.versions, "versions", []string{"v2.20.0", "v2.18.0"}, "Versions of kube-state-metrics, whose binaries are in bin.")
	command.AddCommand(newSeriesCommand())
	os.Exit(cli.Run(command))
}

func newSeriesCommand() *cobra.Command {
	version := "v2.20.0"
	command := &cobra.Command{
		Use:   "series",
		Short: "Counts the series of one object of each resource, and prints a table",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			log.SetLogger(klog.Background())
			return countSeries(command.Context(), version, command.OutOrStdout())
		},
	}
	command.Flags().StringVar(&version, "version", version, "Version of kube-state-metrics, whose binary is in bin.")
	return command
}

func (o *options) run(ctx context.Context, out io.Writer) (err error) {
	local, err := cluster.Start(ctx, cluster.Options{Progress: os.Stderr})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, local.Stop()) }()
	filled, err := replica.NewFiller(local)
	if err != nil {
		return err
	}
	version, err := filled.Client.Discovery().ServerVersion()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s, Kubernetes %s, %d pods per node, shard 0 of each:\n\n", time.Now().UTC().Format(time.DateOnly), version.GitVersion, replica.PodsPerNode)
	fmt.Fprintln(out, "| pods | nodes | version | shards | series of a shard | a scrape | memory | at most | CPU to load | CPU of a scrape | the gate's memory at most | the gate's CPU |")
	fmt.Fprintln(out, "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	var compared []comparison
	for _, pods := range o.pods {
		if err := filled.Fill(ctx, pods); err != nil {
			return err
		}
		counted, err := estimate(ctx, local)
		if err != nil {
			return err
		}
		for _, version := range o.versions {
			for _, shards := range o.shards {
				measured, err := measure(ctx, local, version, shards)
				if err != nil {
					return fmt.Errorf("measure %s as one of %d shards with %d pods: %w", version, shards, pods, err)
				}
				fmt.Fprintf(out, "| %d | %d | %s | %d | %s |\n", pods, replica.NodesFor(pods), version, shards, measured)
				compared = append(compared, compare(pods, shards, version, counted, measured))
			}
		}
	}
	printComparisons(out, compared)
	return nil
}

// result is the cost of one shard.
type result struct {
	series, bytes          int
	memory, most, gateMost uint64
	// load is the CPU time until the gate has opened, and scrape the CPU time of one scrape.
	load, scrape, gateLoad time.Duration
}

// String is the end of a row of the table.
func (r result) String() string {
	return fmt.Sprintf("%d | %.1f MB | %d MiB | %d MiB | %.2f s | %.3f s | %d MiB | %.2f s", r.series, float64(r.bytes)/1e6,
		r.memory>>20, r.most>>20, r.load.Seconds(), r.scrape.Seconds(), r.gateMost>>20, r.gateLoad.Seconds())
}

// start starts shard 0 of several with a flag for the exported resources.
func start(ctx context.Context, local *cluster.Cluster, version string, shards int, resources string) (*replica.Replica, error) {
	both := []string{resources, "--shard=0", fmt.Sprintf("--total-shards=%d", shards)}
	return replica.Start(ctx, local, replica.Options{Version: version, Monitor: both, Gate: both})
}

func measure(ctx context.Context, local *cluster.Cluster, version string, shards int) (result, error) {
	running, err := start(ctx, local, version, shards, resources)
	if err != nil {
		return result{}, err
	}
	defer running.Stop()
	if err := running.AwaitOpen(ctx); err != nil {
		return result{}, err
	}
	return measureUse(ctx, running)
}

// measureUse reads the use of both processes, and the cost of scrapes. The gate ends before the scrapes, because it also
// reads the metrics sometimes.
func measureUse(ctx context.Context, running *replica.Replica) (measured result, err error) {
	loaded, err := cluster.UsageOf(running.Monitor.PID())
	if err != nil {
		return result{}, err
	}
	gate, err := cluster.UsageOf(running.Gate.PID())
	if err != nil {
		return result{}, err
	}
	running.StopGate()
	before, err := cluster.UsageOf(running.Monitor.PID())
	if err != nil {
		return result{}, err
	}
	for range scrapes {
		if measured.series, measured.bytes, err = replica.Scrape(ctx, running.MetricsURL); err != nil {
			return result{}, err
		}
	}
	after, err := cluster.UsageOf(running.Monitor.PID())
	measured.load, measured.gateLoad, measured.gateMost = loaded.CPU, gate.CPU, gate.MaxMemory
	measured.scrape = (after.CPU - before.CPU) / scrapes
	measured.memory, measured.most = after.Memory, after.MaxMemory
	return measured, err
}
