package plugin

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/example/ksmscale/plugin/check"
	"github.com/example/ksmscale/plugin/printer"
)

func (o *options) checkCommand() *cobra.Command {
	var pre bool
	command := &cobra.Command{
		Use:   "check",
		Short: "Check the installation, or before it whether the cluster is ready for it",
		Long: "Check what KSMScale needs, and each KSMScale. With --pre, check before the installation whether the cluster and your rights suffice.\n" +
			"Each failure comes with what to do. Exits with 1 if a check fails.",
		Example: "  kubectl ksmscale check --pre\n  kubectl ksmscale check",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			c, err := o.connect()
			if err != nil {
				return err
			}
			results := check.Run(command.Context(), c, pre, o.pause)
			if err := o.print(map[string]any{"checks": results}, func(p *printer.Painter) { check.Write(p, results) }); err != nil {
				return err
			}
			return asDesired(!slices.ContainsFunc(results, func(one check.Result) bool { return one.Verdict == check.Failed }))
		},
	}
	command.Flags().BoolVar(&pre, "pre", false, "Check before the installation.")
	return command
}
