package cluster

import (
	"os"

	"golang.org/x/sys/unix"
)

const (
	memory = "/dev/shm"
	// enoughMemory is what a cluster with real nodes and their images takes, with some to spare.
	enoughMemory = 4 << 30
)

// tempDir is the parent folder of clusters. It is in memory if there is room, because a slow disk slows etcd and all
// programs that write logs.
func tempDir() string {
	var stat unix.Statfs_t
	if err := unix.Statfs(memory, &stat); err != nil || stat.Type != unix.TMPFS_MAGIC || unix.Access(memory, unix.W_OK) != nil {
		return os.TempDir()
	}
	if stat.Bavail*uint64(stat.Bsize) < enoughMemory {
		return os.TempDir()
	}
	return memory
}
