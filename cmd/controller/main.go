// Command controller creates and updates the objects of each KSMScale's shards, and reports their status.
package main

import (
	"github.com/example/ksmscale/cmd/internal/command"
	"github.com/example/ksmscale/controller"
	"github.com/example/ksmscale/controller/flags"
)

func main() {
	command.Main("controller", "Runs kube-state-metrics in shards whose replicas follow the nodes of the cluster",
		flags.NewOptions(), controller.Run)
}
