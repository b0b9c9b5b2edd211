//go:build !linux

package cluster

import "os"

// tempDir is the folder for the folders of clusters.
func tempDir() string { return os.TempDir() }
