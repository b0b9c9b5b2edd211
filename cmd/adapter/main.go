// Command adapter serves the external metrics that the shards' HorizontalPodAutoscalers read, and checks that they are served.
package main

import (
	"os"

	"k8s.io/component-base/cli"

	"github.com/example/ksmscale/adapter"
	"github.com/example/ksmscale/adapter/check"
	"github.com/example/ksmscale/cmd/internal/command"
)

func main() {
	serve := command.New("adapter", "Serves the replicas that kube-state-metrics shards should have as external metrics",
		adapter.NewOptions(), adapter.Run)
	serve.AddCommand(command.New("check", "Checks that the API server serves the external metrics of all KSMScales", check.NewOptions(), check.Run))
	os.Exit(cli.Run(serve))
}
