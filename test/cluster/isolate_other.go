//go:build !linux

package cluster

import "errors"

func canIsolate() error { return errors.New("real nodes need Linux") }

func runOutside() (int, error) { return 0, errors.ErrUnsupported }

func runInit() (int, error) { return 0, errors.ErrUnsupported }

// clearNodes does not do anything, because real nodes need Linux.
func (c *Cluster) clearNodes() {}
