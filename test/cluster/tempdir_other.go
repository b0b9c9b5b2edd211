//go:build !linux

package cluster

import "os"

// tempDir is the folder that the folders of clusters are made in.
func tempDir() string { return os.TempDir() }
