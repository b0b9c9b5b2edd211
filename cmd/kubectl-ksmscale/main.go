// Command kubectl-ksmscale is the kubectl plugin `kubectl ksmscale`. It explains, plans and verifies KSMScales, and changes none.
package main

import (
	"os"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/example/ksmscale/plugin"
)

func main() {
	os.Exit(plugin.Run(os.Args[1:], genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}))
}
