// Command gate answers the readiness probe of the kube-state-metrics beside it: ready once that exposes its whole
// share of the cluster's objects.
package main

import (
	"github.com/example/ksmscale/cmd/internal/command"
	"github.com/example/ksmscale/gate"
)

func main() {
	command.Main("gate", "Tells whether the kube-state-metrics beside it exposes its whole share of the cluster's objects",
		gate.NewOptions(), gate.Run)
}
