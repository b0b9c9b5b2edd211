package cluster

import (
	"crypto/rand"
	"fmt"
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

const cgroupRoot = "/sys/fs/cgroup"

// newCgroupName returns one that no other cluster of this machine has.
func newCgroupName() string { return cgroupPrefix + strings.ToLower(rand.Text()[:10]) }

// cgroupWeight is how much of a busy machine the containers together get, compared to 1 for any program that is not
// in a control group. Without it they would get as much as one program: too little to answer their probes.
const cgroupWeight = 16

// createCgroup creates the control group that contains the groups of the containers.
func createCgroup(name string) error {
	folder, file, value := filepath.Join(cgroupRoot, "cpu", name), "cpu.shares", cgroupWeight*1024
	if _, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers")); err == nil { // version 2
		folder, file, value = filepath.Join(cgroupRoot, name), "cpu.weight", cgroupWeight*100
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		return fmt.Errorf("create control group: %w", err)
	}
	// Without a request for it, version 2 has no such file. Containers are then slow on a busy machine.
	_ = os.WriteFile(filepath.Join(folder, file), []byte(strconv.Itoa(value)), 0o600)
	return nil
}

// cgroupFolders returns the folders of the control groups: one for each hierarchy of version 1, or the only one of
// version 2.
func cgroupFolders(name string) []string {
	var folders []string
	for _, pattern := range []string{filepath.Join(cgroupRoot, name), filepath.Join(cgroupRoot, "*", name)} {
		// The only possible error is an invalid pattern.
		matches, _ := filepath.Glob(pattern)
		folders = append(folders, matches...)
	}
	return folders
}

// removeCgroups removes the control groups without a process. The kernel refuses to remove others, such as the groups of
// another program's cluster.
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
			for line := range strings.FieldsSeq(string(text)) {
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
	// Groups may disappear at the same time, which is fine.
	_ = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			all = append(all, path)
		}
		return nil
	})
	return all
}
