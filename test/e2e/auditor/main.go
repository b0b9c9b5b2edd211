// Command auditor runs an audit as a pod: which objects are missing from the metrics that Prometheus would scrape.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/example/ksmscale/test/e2e/audit"
)

func main() {
	var options audit.Options
	flag.Func("options", "JSON of what to audit.", func(text string) error { return json.Unmarshal([]byte(text), &options) })
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, options)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, options audit.Options) error {
	config, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 100, 200
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	targets, err := audit.Watch(ctx, client, options)
	if err != nil {
		return err
	}
	auditor, err := audit.New(config, targets)
	if err != nil {
		return err
	}
	server := &http.Server{Addr: ":8080", Handler: auditor.Handler(), ReadHeaderTimeout: 10 * time.Second}
	running, ctx := errgroup.WithContext(ctx)
	running.Go(func() error { return auditor.Run(ctx) })
	running.Go(server.ListenAndServe)
	running.Go(func() error {
		<-ctx.Done()
		return server.Close()
	})
	return running.Wait()
}
