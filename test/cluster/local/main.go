// Command local keeps a Kubernetes cluster on this machine for playing with kubectl: `local up`, `local run`, `local nodes
// 100`, `local down`.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newCommand().ExecuteContext(ctx)
	stop()
	switch {
	case err == nil:
		return
	case errors.Is(err, context.Canceled):
		// The error has the log of the component that was starting, as if that had failed.
		fmt.Fprintln(os.Stderr, "\nInterrupted.")
	default:
		fmt.Fprintln(os.Stderr, "Error:", err)
	}
	os.Exit(1)
}
