// Command testadapter is the test adapter that sigs.k8s.io/custom-metrics-apiserver ships, another server of external
// metrics for tests, except the port on which that one lets metrics be written: it is 8080 of every address.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	basecmd "sigs.k8s.io/custom-metrics-apiserver/pkg/cmd"
	"sigs.k8s.io/custom-metrics-apiserver/test-adapter/provider"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	adapter := basecmd.AdapterBase{Name: "test-adapter"}
	if err := adapter.Flags().Parse(os.Args[1:]); err != nil {
		return err
	}
	client, err := adapter.DynamicClient()
	mapper, mapperErr := adapter.RESTMapper()
	if err := errors.Join(err, mapperErr); err != nil {
		return err
	}
	metrics, _ := provider.NewFakeProvider(client, mapper)
	adapter.WithExternalMetrics(metrics)
	return adapter.Run(ctx)
}
