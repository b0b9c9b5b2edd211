// Command controller makes and keeps the objects of each KSMScale's shards, and reports on them.
package main

import (
	"github.com/example/ksmscale/cmd/internal/command"
	"github.com/example/ksmscale/controller"
)

func main() {
	command.Main("controller", "Runs kube-state-metrics in shards whose replicas follow the nodes of the cluster",
		controller.NewOptions(), controller.Run)
}
