// Command controller creates and updates the objects of each KSMScale's shards, and reports their status.
package main

import (
	"github.com/example/ksmscale/cmd/internal/command"
	"github.com/example/ksmscale/controller"
)

func main() {
	command.Main("controller", "Runs kube-state-metrics in shards whose replicas follow the nodes of the cluster",
		controller.NewOptions(), controller.Run)
}
