package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/example/ksmscale/test/cluster"
	"github.com/example/ksmscale/test/installation"
)

// defaultNodes is how many fake nodes a cluster has at first.
const defaultNodes = 10

func newCommand() *cobra.Command {
	var dir string
	root := &cobra.Command{
		Use:           "local",
		Short:         "A real Kubernetes control plane with fake nodes on this machine",
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(*cobra.Command, []string) (err error) {
			if dir == "" {
				dir, err = defaultDir()
			}
			return err
		},
	}
	root.PersistentFlags().StringVar(&dir, "dir", "", "folder for all state (default .local-cluster in the checkout)")
	root.AddCommand(newUpCommand(&dir), newRunCommand(&dir), newDownCommand(&dir), newNodesCommand(&dir))
	return root
}

// defaultDir is next to the bin folder, so it is the same from every folder of the checkout.
func defaultDir() (string, error) {
	binary, err := cluster.FindBinary()
	if err != nil {
		return "", err
	}
	return filepath.Join(filepath.Dir(filepath.Dir(binary)), ".local-cluster"), nil
}

func newUpCommand(dir *string) *cobra.Command {
	nodes := defaultNodes
	command := &cobra.Command{
		Use:   "up",
		Short: "Start a cluster that keeps running until `down`",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			c, err := up(command.Context(), *dir, nodes, command.OutOrStdout())
			if err != nil {
				return err
			}
			printUse(command.OutOrStdout(), c)
			return nil
		},
	}
	command.Flags().IntVar(&nodes, "nodes", nodes, "number of fake nodes")
	return command
}

func newRunCommand(dir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Start the cluster, if it does not run, and KSMScale's controller and adapter until interrupted",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			c, err := up(command.Context(), *dir, defaultNodes, command.OutOrStdout())
			if err != nil {
				return err
			}
			return run(command.Context(), c, command.OutOrStdout())
		},
	}
}

func newDownCommand(dir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Stop the cluster and remove its state",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			c, err := cluster.Open(*dir)
			if errors.Is(err, fs.ErrNotExist) {
				fmt.Fprintf(command.OutOrStdout(), "no cluster in %s\n", *dir)
				return nil
			}
			if err != nil {
				return err
			}
			return c.Stop()
		},
	}
}

func newNodesCommand(dir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "nodes N",
		Short: "Set the number of fake nodes to N",
		Args:  cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			n, err := strconv.Atoi(args[0])
			if err != nil {
				return fmt.Errorf("number of nodes %q: write a number, such as 90", args[0])
			}
			c, err := running(*dir)
			if err != nil {
				return err
			}
			if err := c.SetNodes(command.Context(), n); err != nil {
				return err
			}
			fmt.Fprintf(command.OutOrStdout(), "The cluster has %d fake nodes.\n", n)
			return nil
		},
	}
}

// running returns the cluster in a folder, or an error that says how to start one.
func running(dir string) (*cluster.Cluster, error) {
	c, err := cluster.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no cluster runs in %s: start one with `make play`", dir)
	}
	if err != nil {
		return nil, err
	}
	if err := c.Check(); err != nil {
		return nil, fmt.Errorf("the cluster in %s has died: start it again with `make play` (%w)", dir, err)
	}
	return c, nil
}

// up leaves a running cluster as it is, and clears away one that has died.
func up(ctx context.Context, dir string, nodes int, out io.Writer) (*cluster.Cluster, error) {
	c, err := cluster.Open(dir)
	switch {
	case err == nil && c.Check() == nil:
		fmt.Fprintf(out, "already up in %s\n", dir)
		return c, nil
	case err == nil:
		if err := c.Stop(); err != nil {
			return nil, err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	c, err = cluster.Start(ctx, cluster.Options{Dir: dir, Progress: out, Detached: true})
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "creating %d fake nodes\n", nodes)
	if err := c.SetNodes(ctx, nodes); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// run starts controller and adapter as processes, because pods on fake nodes do not run.
func run(ctx context.Context, c *cluster.Cluster, out io.Writer) error {
	installed, err := installation.Install(ctx, c)
	if err != nil {
		return err
	}
	controller, adapter, err := installed.StartAll(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nKSMScale runs until you press Ctrl-C; its logs are in %s. In another terminal, in this folder:\n\n", c.Logs())
	printUse(out, c)
	fmt.Fprint(out, tryOut)
	var ended error
	select {
	case <-ctx.Done():
	case <-controller.Done():
		ended = errors.Join(errors.New("the controller has ended"), controller.Err())
	case <-adapter.Done():
		ended = errors.Join(errors.New("the adapter has ended"), adapter.Err())
	}
	err = errors.Join(ended, adapter.Stop(context.WithoutCancel(ctx)), controller.Stop(context.WithoutCancel(ctx)))
	if err == nil {
		fmt.Fprint(out, "\nKSMScale has stopped. The cluster still runs: continue with `make play`, or remove it with `make down`.\n")
	}
	return err
}

// tryOut is what can be tried on the cluster, in this order. The wait is for a plan, pods and metrics to look at.
const tryOut = `
# A KSMScale of three shards. 10 nodes at 15 for each pod need one pod, so the minimum runs: one pod of each shard.
kubectl apply -f test/cluster/local/ksmscale.yaml
kubectl wait ksmscale main --for=condition=Ready --timeout=2m
kubectl get ksmscales,horizontalpodautoscalers -A
kubectl describe ksmscale main
kubectl get --raw '/apis/external.metrics.k8s.io/v1beta1/namespaces/monitoring/ksmscale_desired_replicas?labelSelector=ksmscale%3Dmain'

# What does it wait for? Which shard exports an object? What would another number of shards do? The fourth question, whether
# anything is missing, needs pods that run: try "verify" in "make lab".
kubectl ksmscale status main
kubectl ksmscale where node/fake-node-00001
kubectl ksmscale plan main --shard-count 5

# More nodes, and so more replicas, within seconds. Fewer nodes take the autoscalers 5 minutes. Ctrl-C ends the watch.
make nodes N=90
kubectl get ksmscales --watch

# Another number of shards: both partitions run for a minute or two. The last command waits, and prints what for.
kubectl patch ksmscale main --type=merge -p '{"spec": {"sharding": {"shardCount": 5}}}'
kubectl ksmscale status main
kubectl ksmscale status main --wait
`

// printUse prints what can be pasted into a shell. The folder of the binary goes into PATH because kubectl is
// a link there.
func printUse(out io.Writer, c *cluster.Cluster) {
	fmt.Fprintf(out, "export KUBECONFIG=%s\n", c.Kubeconfig())
	if binary, err := cluster.FindBinary(); err == nil {
		fmt.Fprintf(out, "export PATH=%s:$PATH # for kubectl and kubectl ksmscale\n", filepath.Dir(binary))
	}
}
