// Command lab runs a real Kubernetes on this machine, with KSMScale, its shards, and a Prometheus as pods, and opens a shell in
// it. It is what the end-to-end tests start. `lab nodes N` and `lab query EXPRESSION` are for that shell.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/example/ksmscale/test/cluster"
)

func main() {
	err := newCommand().Execute()
	var exit *exec.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit) && exit.Exited():
		os.Exit(exit.ExitCode())
	case errors.Is(err, context.Canceled):
		// The error has the log of the component that was starting, as if that had failed.
		fmt.Fprintln(os.Stderr, "\nInterrupted.")
		os.Exit(1)
	default:
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "lab",
		Short: "A real Kubernetes with KSMScale, and a shell in it",
		Long: "Starts a Kubernetes with two real nodes, KSMScale, its shards and a Prometheus, and opens a shell.\n" +
			"If the input is no terminal, the shell reads its commands from there. Everything ends with the shell.",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := cluster.Isolate(); err != nil {
				return err
			}
			log.SetLogger(klog.Background())
			return run(command.Context(), command.OutOrStdout())
		},
	}
	root.AddCommand(newNodesCommand(), newQueryCommand())
	return root
}
