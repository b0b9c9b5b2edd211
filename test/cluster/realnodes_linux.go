package cluster

import (
	"bufio"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// clearTimeout limits the removal of real nodes. After SIGKILL, only the kernel needs time.
const clearTimeout = 30 * time.Second

// clearNodes ends the containers, which survive kubelet and containerd. It removes mounts and connections, so the folder
// can be removed and another cluster started. Anything that it misses ends with the namespaces.
func (c *Cluster) clearNodes() {
	if len(c.nodes) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), clearTimeout)
	defer cancel()
	_ = wait.PollUntilContextCancel(ctx, pollInterval, true, func(context.Context) (bool, error) {
		return c.killShims()+killCgroups(c.cgroup) == 0, nil
	})
	c.unmountNodes()
	removeCgroups(c.cgroup)
	for _, node := range c.nodes {
		_ = run(ctx, "ip", "link", "delete", node.bridge())
		_ = os.RemoveAll(node.state)
	}
	c.nodes = nil
}

// killShims kills the parents of the containers, which have the socket of their containerd as an argument. It returns
// their number.
func (c *Cluster) killShims() int {
	killed := 0
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, process := range processes {
		line, _ := os.ReadFile(filepath.Join(process, "cmdline"))
		arguments := strings.Split(string(line), "\x00")
		ours := slices.ContainsFunc(c.nodes, func(node realNode) bool { return slices.Contains(arguments, node.socket()) })
		pid, err := strconv.Atoi(filepath.Base(process))
		if ours && err == nil && syscall.Kill(pid, syscall.SIGKILL) == nil {
			killed++
		}
	}
	return killed
}

// unmountNodes unmounts everything in the folders of the nodes, the latest mount first.
func (c *Cluster) unmountNodes() {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return
	}
	defer file.Close()
	var mounts []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		const mountPoint = 4
		path := strings.Fields(lines.Text())[mountPoint]
		if slices.ContainsFunc(c.nodes, func(node realNode) bool { return isBelow(path, node.dir) || isBelow(path, node.state) }) {
			mounts = append(mounts, path)
		}
	}
	for _, path := range slices.Backward(mounts) {
		_ = syscall.Unmount(path, syscall.MNT_DETACH)
	}
}

func isBelow(path, folder string) bool { return strings.HasPrefix(path, folder+"/") }
