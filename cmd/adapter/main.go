// Command adapter serves the external metrics that the shards' HorizontalPodAutoscalers read.
package main

import (
	"github.com/example/ksmscale/adapter"
	"github.com/example/ksmscale/cmd/internal/command"
)

func main() {
	command.Main("adapter", "Serves the replicas that kube-state-metrics shards should have as external metrics",
		adapter.NewOptions(), adapter.Run)
}
