// Command node is one binary for what Kubernetes runs on each real node: it runs the component that its first
// argument names. It is a binary of its own, and not a part of kube, because few need real nodes and its link takes
// minutes; see the Makefile for how it is built.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

func main() {
	if len(os.Args) > 1 {
		os.Args = os.Args[1:]
	}
	var command *cobra.Command
	switch name := os.Args[0]; name {
	case "kubelet":
		command = kubelet.NewKubeletCommand(context.Background())
	case "kube-proxy":
		command = proxy.NewProxyCommand()
	default:
		fmt.Fprintf(os.Stderr, "node: unknown component %q; use one of kubelet, kube-proxy\n", name)
		os.Exit(2)
	}
	os.Exit(cli.Run(command))
}
