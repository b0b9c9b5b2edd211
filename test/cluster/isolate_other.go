//go:build !linux

package cluster

import "errors"

func canIsolate() error { return errors.New("real nodes need Linux") }

func runOutside() (int, error) { return 0, errors.ErrUnsupported }

func runInit() (int, error) { return 0, errors.ErrUnsupported }

// clearNodes has nothing to do: there are no real nodes here.
func (c *Cluster) clearNodes() {}
