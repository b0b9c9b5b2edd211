// Package command makes the commands of this project alike: flags with help, --version, JSON logs, and a context
// that SIGINT and SIGTERM end.
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

// Options is how a command is run.
type Options interface {
	// AddFlags adds a flag for each option.
	AddFlags(flags *pflag.FlagSet)
	// Complete fills in options that follow from others.
	Complete()
	// Validate returns what is wrong with the options, naming the flags.
	Validate() error
}

// Main runs a command and ends the process: with code 1, and the error on standard error, if anything is wrong
// with the options or run returns an error.
func Main[O Options](use, short string, options O, run func(context.Context, O) error) {
	os.Exit(cli.Run(New(use, short, options, run)))
}

// New returns a command that runs run with the options that its flags set, until SIGINT or SIGTERM.
func New[O Options](use, short string, options O, run func(context.Context, O) error) *cobra.Command {
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
			options.Complete()
			if err := options.Validate(); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(command.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			klog.FromContext(ctx).Info("Starting", "command", use, "version", version.Version)
			return run(ctx, options)
		},
	}
	options.AddFlags(command.Flags())
	logsapi.AddFlags(logging, command.Flags())
	return command
}
