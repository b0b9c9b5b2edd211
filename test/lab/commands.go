package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/api"
	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"github.com/spf13/cobra"

	"github.com/example/ksmscale/test/cluster"
)

// Variables of the shell, for these commands.
const (
	prometheusVariable = "LAB_PROMETHEUS"
	folderVariable     = "LAB_FOLDER"
)

const queryTimeout = 30 * time.Second

var errOutside = errors.New("this command works in the shell of `make lab` only")

func newNodesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "nodes N",
		Short: "Set the number of fake nodes to N",
		Args:  cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			number, err := strconv.Atoi(args[0])
			if err != nil {
				return fmt.Errorf("number of nodes %q: write a number, such as 90", args[0])
			}
			folder := os.Getenv(folderVariable)
			if folder == "" {
				return errOutside
			}
			opened, err := cluster.Open(folder)
			if err != nil {
				return err
			}
			if err := opened.SetNodes(command.Context(), number); err != nil {
				return err
			}
			fmt.Fprintf(command.OutOrStdout(), "The cluster has %d fake nodes, and 2 real ones.\n", number)
			return nil
		},
	}
}

func newQueryCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "query EXPRESSION",
		Short: "Print the present value of an expression of Prometheus",
		Args:  cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			address := os.Getenv(prometheusVariable)
			if address == "" {
				return errOutside
			}
			ctx, cancel := context.WithTimeout(command.Context(), queryTimeout)
			defer cancel()
			return query(ctx, command.OutOrStdout(), address, args[0])
		},
	}
}

// query prints a line for each series, with its value first.
func query(ctx context.Context, out io.Writer, address, expression string) error {
	connection, err := api.NewClient(api.Config{Address: address})
	if err != nil {
		return err
	}
	value, warnings, err := prometheusv1.NewAPI(connection).Query(ctx, expression, time.Now())
	if err != nil {
		return fmt.Errorf("query %s: %w", expression, err)
	}
	for _, warning := range warnings {
		fmt.Fprintln(out, "warning:", warning)
	}
	vector, ok := value.(model.Vector)
	switch {
	case !ok:
		fmt.Fprintln(out, value)
	case len(vector) == 0:
		fmt.Fprintln(out, "no series")
	}
	for _, sample := range vector {
		fmt.Fprintln(out, sample.Value, sample.Metric)
	}
	return nil
}
