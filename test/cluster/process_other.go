//go:build !linux

package cluster

import (
	"errors"
	"os/exec"
)

// start cannot bind the child's life to ours here: only Linux has a parent-death signal.
func start(command *exec.Cmd, _ bool) error { return command.Start() }

func startTime(int) (string, error) { return "", errors.ErrUnsupported }
