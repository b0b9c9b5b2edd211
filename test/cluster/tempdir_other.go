//go:build !linux

package cluster

import "os"

// tempDir is the parent folder of clusters.
func tempDir() string { return os.TempDir() }
