package cluster

import (
	"crypto/rand"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// cgroupPrefix begins the name of the control group in which all containers of a cluster are. Control groups are
// not in a namespace, so they are recognized, and removed, by their name.
const cgroupPrefix = "local-cluster-"

// newCgroupName returns one that no other cluster of this machine has.
func newCgroupName() string { return cgroupPrefix + strings.ToLower(rand.Text()[:10]) }

// cgroupFolders returns the folders of the control groups: one for each hierarchy of version 1, or the only one of
// version 2.
func cgroupFolders(name string) []string {
	const root = "/sys/fs/cgroup"
	var folders []string
	for _, pattern := range []string{filepath.Join(root, name), filepath.Join(root, "*", name)} {
		// The only error is that of a bad pattern.
		matches, _ := filepath.Glob(pattern)
		folders = append(folders, matches...)
	}
	return folders
}

// removeCgroups removes the control groups that no process is in: the kernel refuses to remove others, such as
// those of a cluster that another program runs.
func removeCgroups(name string) {
	for _, folder := range cgroupFolders(name) {
		for _, group := range slices.Backward(subfolders(folder)) {
			_ = syscall.Rmdir(group)
		}
	}
}

// killCgroups kills the processes in the control groups and returns how many there were.
func killCgroups(name string) int {
	killed := 0
	for _, folder := range cgroupFolders(name) {
		for _, group := range subfolders(folder) {
			text, _ := os.ReadFile(filepath.Join(group, "cgroup.procs"))
			for _, line := range strings.Fields(string(text)) {
				// Processes of other namespaces are shown as 0, which would mean our own group.
				if pid, err := strconv.Atoi(line); err == nil && pid > 1 && syscall.Kill(pid, syscall.SIGKILL) == nil {
					killed++
				}
			}
		}
	}
	return killed
}

// subfolders returns a folder and all below it, parents first.
func subfolders(folder string) []string {
	var all []string
	// Groups may vanish meanwhile, which is what is wanted.
	_ = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			all = append(all, path)
		}
		return nil
	})
	return all
}
