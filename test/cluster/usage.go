package cluster

import (
	"fmt"
	"time"

	"github.com/prometheus/procfs"
)

// Usage is what a process uses of the machine.
type Usage struct {
	// CPU is for how long it has run on any core, in its own code and in the kernel's.
	CPU time.Duration
	// Memory is the memory that it has now, MaxMemory the most that it had, and Anonymous the part of Memory without files,
	// all in bytes.
	Memory, MaxMemory, Anonymous uint64
}

// UsageOf reads the use of a running process.
func UsageOf(pid int) (Usage, error) {
	process, err := procfs.NewProc(pid)
	if err != nil {
		return Usage{}, fmt.Errorf("read the use of a process: %w", err)
	}
	status, err := process.NewStatus()
	if err != nil {
		return Usage{}, fmt.Errorf("read the memory of a process: %w", err)
	}
	stat, err := process.Stat()
	if err != nil {
		return Usage{}, fmt.Errorf("read the CPU time of a process: %w", err)
	}
	return Usage{
		CPU:    time.Duration(stat.CPUTime() * float64(time.Second)),
		Memory: status.VmRSS, MaxMemory: status.VmHWM, Anonymous: status.RssAnon,
	}, nil
}

// Usage reads the use of a component, such as APIServer.
func (c *Cluster) Usage(name string) (Usage, error) {
	one, err := c.component(name)
	if err != nil {
		return Usage{}, err
	}
	return UsageOf(one.process.PID())
}
