package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
)

// spawner runs functions on one OS thread that exists as long as this program. The kernel sends a child its death signal
// when the thread that forked it ends, not the process. The Go runtime ends threads at any time.
var spawner = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for task := range work {
			task()
		}
	}()
	return work
})

func start(command *exec.Cmd, detached bool) error {
	if detached {
		command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		return command.Start()
	}
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	result := make(chan error)
	spawner() <- func() { result <- command.Start() }
	return <-result
}

// startTime returns when a process started, in clock ticks since boot. Together with its id, it identifies a process
// permanently. A zombie counts as ended, because its new parent may never reap it.
func startTime(pid int) (string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", fmt.Errorf("read state of process %d: %w", pid, err)
	}
	// The second field, the program's name in parentheses, may itself hold spaces and parentheses.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	const state, ticks = 0, 19
	if len(fields) <= ticks || fields[state] == "Z" || fields[state] == "X" {
		return "", fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	}
	return fields[ticks], nil
}
