// Command performance measures what KSMScale costs, for docs/performance.md. It starts a local cluster, and grows its nodes
// and KSMScales. It measures adapter and controller from outside, next to programs that do less: an informer of nodes
// (test/performance/informer), and the test adapter of the library with which KSMScale serves external metrics. All figures
// of a line are from the same run. Its command replica measures what one replica of a shard costs the API server.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/example/ksmscale/test/cluster"
)

// options are the measured sizes.
type options struct {
	nodes, ksmScales []int
	file             string
}

func main() {
	measured := options{}
	command := &cobra.Command{
		Use:          "performance",
		Short:        "Measures what adapter and controller cost, and writes tables",
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(command *cobra.Command, _ []string) error {
			return measured.run(command.Context())
		},
	}
	flags := command.Flags()
	flags.IntSliceVar(&measured.nodes, "nodes", []int{100, 1000, 5000, 15_000}, "Numbers of nodes, from the lowest up.")
	flags.IntSliceVar(&measured.ksmScales, "ksmscales", []int{1, 20, 200}, "Numbers of KSMScales, from the lowest up. They are measured with the first number of nodes that is at least 1,000, or with the last one.")
	command.PersistentFlags().StringVar(&measured.file, "file", "docs/performance.md", "Page whose tables are written. Lines of other sizes stay.")
	command.AddCommand(newReplicaCommand(&measured.file))
	log.SetLogger(klog.Background())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	command.SetContext(ctx)
	code := cli.Run(command)
	stop()
	os.Exit(code)
}

func (o *options) run(ctx context.Context) (err error) {
	labels := map[string]string{}
	for i := range 22 { // With three labels that each fake node has, these are 25.
		labels[fmt.Sprintf("example.com/label-%02d", i)] = fmt.Sprintf("value-%02d", i)
	}
	local, err := cluster.Start(ctx, cluster.Options{Progress: os.Stderr, NodeLabels: labels})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, local.Stop()) }()
	measured, err := newBench(ctx, local)
	if err != nil {
		return err
	}
	page := &page{file: o.file}
	for i, nodes := range o.nodes {
		if err := local.SetNodes(ctx, nodes); err != nil {
			return err
		}
		if err := measured.measureNodes(ctx, nodes, page); err != nil {
			return fmt.Errorf("measure %d nodes: %w", nodes, err)
		}
		if i == o.withKSMScales() {
			if err := measured.measureKSMScales(ctx, o.ksmScales, page); err != nil {
				return fmt.Errorf("measure KSMScales: %w", err)
			}
		}
	}
	return nil
}

// withKSMScales is the index of the number of nodes with which KSMScales are measured: the first of at least 1,000, or the last one.
func (o *options) withKSMScales() int {
	if i := slices.IndexFunc(o.nodes, func(nodes int) bool { return nodes >= 1000 }); i >= 0 {
		return i
	}
	return len(o.nodes) - 1
}

func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().UTC().Format(time.TimeOnly)+" "+format+"\n", args...)
}
