// Command gate answers the readiness probe of the kube-state-metrics in its pod. The pod is ready once kube-state-metrics
// exposes all objects of its shard.
package main

import (
	"github.com/example/ksmscale/cmd/internal/command"
	"github.com/example/ksmscale/gate"
)

func main() {
	command.Main("gate", "Reports whether the kube-state-metrics in its pod exposes all objects of its shard",
		gate.NewOptions(), gate.Run)
}
