// Package command gives the commands of this project the same behavior. Each has flags with help, --version, JSON logs,
// and a context that ends with SIGINT and SIGTERM.
package command

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/component-base/cli"
	logsapi "k8s.io/component-base/logs/api/v1"
	// JSON is the default format of logs.
	_ "k8s.io/component-base/logs/json/register"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/example/ksmscale/version"
)

// Options configures a command.
type Options interface {
	// AddFlags adds a flag for each option.
	AddFlags(flags *pflag.FlagSet)
	// Complete sets options that depend on other options.
	Complete()
	// Validate returns the errors in the options, with the names of the flags.
	Validate() error
}

// Main runs a command and ends the process. If the options are invalid or run returns an error, it prints the error to
// standard error and ends with code 1.
func Main[O Options](use, short string, o O, run func(context.Context, O) error) {
	os.Exit(cli.Run(New(use, short, o, run)))
}

// New returns a command that runs run with the options that its flags set, until SIGINT or SIGTERM.
func New[O Options](use, short string, o O, run func(context.Context, O) error) *cobra.Command {
	logging := logsapi.NewLoggingConfiguration()
	logging.Format = logsapi.JSONLogFormat
	command := &cobra.Command{
		Use:          use,
		Short:        short,
		Version:      version.Version,
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := logsapi.ValidateAndApply(logging, nil); err != nil {
				return err
			}
			ctrllog.SetLogger(klog.Background())
			o.Complete()
			if err := o.Validate(); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(command.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			klog.FromContext(ctx).Info("Starting", "command", use, "version", version.Version)
			return run(ctx, o)
		},
	}
	o.AddFlags(command.Flags())
	logsapi.AddFlags(logging, command.Flags())
	return command
}
