package plugin

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/example/ksmscale/plugin/cluster"
	"github.com/example/ksmscale/plugin/printer"
	"github.com/example/ksmscale/plugin/verify"
)

// verifyOptions are the flags of the command.
type verifyOptions struct {
	watch  bool
	caFile string
}

func (o *options) verifyCommand() *cobra.Command {
	var flags verifyOptions
	command := &cobra.Command{
		Use:   "verify NAME",
		Short: "Compare the objects in the metrics of all shards with the objects of the cluster",
		Long: "Read the metrics of each ready pod, and compare their objects with the objects of the cluster: the shards together must export\n" +
			"each object, and each object once. A difference counts if it is still there in three looks.\n" +
			"Exits with 1, and names the objects, if there is a difference.\n\n" +
			"It needs the rights to list the objects that are exported, and to create pods/portforward in the namespace of the shards.\n" +
			"With spec.metrics.authFilter, it also needs to create serviceaccounts/token of the service account of the shards.",
		Example: "  kubectl ksmscale verify main\n  kubectl ksmscale verify main --watch\n  kubectl ksmscale verify main -o json",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: o.named,
		RunE: func(command *cobra.Command, args []string) error { return o.verify(command.Context(), args[0], flags) },
	}
	command.Flags().BoolVarP(&flags.watch, "watch", "w", false, "Verify again and again, until Ctrl-C. Exits with 1 if any look found a difference.")
	command.Flags().StringVar(&flags.caFile, "monitor-ca-file", "", "File with the CA of kube-state-metrics' certificate; empty for the CA of spec.monitoring.tlsConfig.")
	return command
}

func (o *options) verify(ctx context.Context, name string, flags verifyOptions) error {
	c, err := o.connect()
	if err != nil {
		return err
	}
	complete := true
	for look := 1; ; look++ {
		result, err := o.lookAtMetrics(ctx, c, name, flags)
		if look > 1 && ctx.Err() != nil {
			// The user ends the command during a request. Only complete looks count.
			return asDesired(complete)
		}
		if err := cmp.Or(ctx.Err(), err); err != nil {
			return err
		}
		complete = complete && result.Complete
		if flags.watch {
			fmt.Fprintf(o.ErrOut, "%s\n", o.clock.Now().Format(time.TimeOnly))
		}
		if err := o.print(result, func(p *printer.Painter) { verify.Write(p, result) }); err != nil {
			return err
		}
		if !flags.watch || o.pause(ctx) != nil {
			return asDesired(complete)
		}
	}
}

// lookAtMetrics compares the metrics of the shards with the cluster.
func (o *options) lookAtMetrics(ctx context.Context, c *cluster.Cluster, name string, flags verifyOptions) (verify.Result, error) {
	ksmScale, err := c.KSMScale(ctx, name)
	if err != nil {
		return verify.Result{}, err
	}
	v := verify.Verifier{Cluster: c, KSMScale: ksmScale, CAFile: flags.caFile, Pause: o.pause}
	return v.Verify(ctx)
}

// pause waits between two looks. It returns an error if the user ends the command.
func (o *options) pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-o.clock.After(verify.PauseLength):
		return nil
	}
}
