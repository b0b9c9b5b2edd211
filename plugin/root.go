package plugin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/example/ksmscale/plugin/cluster"
)

// The exit codes are the same as of `kubectl diff`.
const (
	exitAsDesired = 0
	exitNotYet    = 1
	exitError     = 2
)

// errNotAsDesired is the result of a command that has already printed what is not as desired.
var errNotAsDesired = errors.New("not as desired")

// options are what all commands share.
type options struct {
	genericiooptions.IOStreams
	flags   *genericclioptions.ConfigFlags
	output  string
	noColor bool
	clock   clock.Clock
	// connect returns the cluster that the flags name. Tests replace it.
	connect func() (*cluster.Cluster, error)
}

// Run runs the plugin with arguments, and returns its exit code: 0 if all is as desired, 1 if not, and 2 after an error.
func Run(args []string, streams genericiooptions.IOStreams) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctrllog.SetLogger(klog.Background())
	return newOptions(streams).run(ctx, args)
}

// Command returns the commands with their flags. Tests of documentation look commands up in it, without running them.
func Command() *cobra.Command { return newOptions(genericiooptions.IOStreams{}).command() }

func newOptions(streams genericiooptions.IOStreams) *options {
	o := &options{IOStreams: streams, flags: genericclioptions.NewConfigFlags(true), clock: clock.RealClock{}}
	o.connect = func() (*cluster.Cluster, error) { return cluster.Connect(o.flags) }
	return o
}

func (o *options) run(ctx context.Context, args []string) int {
	command := o.command()
	command.SetArgs(args)
	err := command.ExecuteContext(ctx)
	switch {
	case err == nil:
		return exitAsDesired
	case errors.Is(err, errNotAsDesired):
		return exitNotYet
	default:
		fmt.Fprintln(o.ErrOut, "error:", err)
		return exitError
	}
}

func (o *options) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "kubectl-ksmscale",
		Short: "Explain, plan and verify kube-state-metrics in shards",
		Long: "Explain, plan and verify KSMScales: kube-state-metrics in shards that follow the size of the cluster.\n" +
			"All commands only read. They exit with 0 if all is as desired, with 1 if not, and with 2 after an error.",
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl ksmscale"},
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(o.In)
	root.SetOut(o.Out)
	root.SetErr(o.ErrOut)
	o.flags.AddFlags(root.PersistentFlags())
	root.PersistentFlags().StringVarP(&o.output, "output", "o", "", "Output format: json or yaml; empty for text.")
	root.PersistentFlags().BoolVar(&o.noColor, "no-color", false, "Print text without colors. The environment variable NO_COLOR does the same.")
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return o.validateOutput() }
	root.AddCommand(o.statusCommand(), o.planCommand(), o.verifyCommand(), o.whereCommand(), o.checkCommand(),
		o.reportCommand(), o.versionCommand())
	return root
}

// named completes the name of a KSMScale.
func (o *options) named(command *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	c, err := o.connect()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	ksmScales, err := c.KSMScales(command.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for i := range ksmScales {
		names = append(names, ksmScales[i].Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
