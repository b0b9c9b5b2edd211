package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// FreezeMemory lowers the memory limit of the control group of a process to what the group uses now, in bytes, and returns the limit. The
// kernel kills a process of the group as soon as it needs more. A limit below the use would kill it at once in version 2 of control groups,
// and version 1 refuses it.
func FreezeMemory(process int) (limit int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", process))
	if err != nil {
		return 0, fmt.Errorf("read the control group of a process: %w", err)
	}
	folder, isUnified := memoryGroup(string(text))
	if folder == "" {
		return 0, fmt.Errorf("process %d is in no control group for memory", process)
	}
	usageFile, limitFile := "memory.usage_in_bytes", "memory.limit_in_bytes"
	if isUnified {
		usageFile, limitFile = "memory.current", "memory.max"
	}
	const attempts = 50
	for range attempts {
		usage, err := os.ReadFile(filepath.Join(folder, usageFile))
		if err != nil {
			return 0, fmt.Errorf("read the memory of a control group: %w", err)
		}
		if limit, err = strconv.ParseInt(strings.TrimSpace(string(usage)), 10, 64); err != nil {
			return 0, fmt.Errorf("read the memory of a control group: %w", err)
		}
		err = os.WriteFile(filepath.Join(folder, limitFile), []byte(strconv.FormatInt(limit, 10)), 0o600)
		if err == nil || !errors.Is(err, syscall.EBUSY) {
			return limit, err
		}
	}
	return 0, fmt.Errorf("the memory of process %d grows too fast for a limit", process)
}

// memoryGroup returns the folder of the control group for memory in a file /proc/<pid>/cgroup, and whether it is of version 2; empty if
// there is none.
func memoryGroup(cgroups string) (folder string, isUnified bool) {
	for line := range strings.Lines(cgroups) {
		id, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, path, _ := strings.Cut(rest, ":")
		if controllers == "memory" {
			return filepath.Join(cgroupRoot, "memory", path), false
		}
		if id == "0" && controllers == "" {
			folder, isUnified = filepath.Join(cgroupRoot, path), true
		}
	}
	return folder, isUnified
}
