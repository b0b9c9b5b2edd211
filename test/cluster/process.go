package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"k8s.io/apimachinery/pkg/util/wait"
)

// Process is a running program that ends with this program: the kernel kills it when this program ends for any reason. It
// runs in a separate process group. So a terminal's Ctrl-C reaches only this program, which can then stop the processes in
// order.
type Process struct {
	name    string
	logFile string
	process *os.Process // nil if it had ended before it was looked for
	pid     int
	started string // see startTime
	done    chan struct{}
	err     error
}

// StartProcess starts command and appends its output to logFile. The name is for error messages. It overwrites the
// command's Stdout, Stderr, Env and SysProcAttr.
//
// On other systems than Linux the process survives if this program is killed.
func StartProcess(name, logFile string, command *exec.Cmd) (*Process, error) {
	return startProcess(name, logFile, command, false)
}

// startProcess does the work of StartProcess. A detached process gets a separate session and survives this program.
func startProcess(name, logFile string, command *exec.Cmd, detached bool) (*Process, error) {
	output, err := os.OpenFile(logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log of %s: %w", name, err)
	}
	defer output.Close()
	command.Stdout, command.Stderr, command.Env = output, output, environment()
	if err := start(command, detached); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &Process{name: name, logFile: logFile, process: command.Process, done: make(chan struct{})}
	p.pid = p.process.Pid
	// An empty start time only means that the process cannot be found again by a later program.
	p.started, _ = startTime(p.pid)
	go func() {
		p.err = command.Wait()
		close(p.done)
	}()
	return p, nil
}

// environment makes programs run Go code on one thread if the machine has two cores. A cluster has many programs that wake
// up briefly and often. On virtual machines, waking another core takes longer than that work. With this setting, a cluster
// with two real nodes started in 28 s instead of 76 s.
func environment() []string {
	const few = 2
	if runtime.NumCPU() > few {
		return os.Environ()
	}
	// The user's settings come later, and override these.
	return append([]string{"GOMAXPROCS=1"}, os.Environ()...)
}

// findProcess returns the process that an earlier program started. If it has ended in the meantime, the result is an ended
// process. The start time distinguishes it from an unrelated process with the same id.
func findProcess(name, logFile string, pid int, started string) *Process {
	p := &Process{name: name, logFile: logFile, pid: pid, started: started, done: make(chan struct{})}
	running := func() bool {
		now, err := startTime(pid)
		return err == nil && now == started
	}
	// The handle is taken before the start time is compared. It stays with that process, so no signal can reach a later
	// process with the same id.
	process, err := os.FindProcess(pid)
	if err != nil || !running() {
		close(p.done)
		return p
	}
	p.process = process
	go func() {
		defer close(p.done)
		// Only a parent is notified when a process ends, so all others have to poll.
		_ = wait.PollUntilContextCancel(context.Background(), pollInterval, true,
			func(context.Context) (bool, error) { return !running(), nil })
	}()
	return p
}

// PID returns the process id.
func (p *Process) PID() int { return p.pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err waits for the process to end. It returns nil for exit code 0, and otherwise an error with the tail of its log, also
// if a signal ended the process.
func (p *Process) Err() error {
	<-p.done
	if p.err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w%s", p.name, p.err, p.logTail())
}

// Kill ends the process with SIGKILL and waits until it is gone. A process that has ended already is fine.
func (p *Process) Kill() {
	p.signal(syscall.SIGKILL)
	<-p.done
}

// Terminate sends SIGTERM and waits until the process has ended. It returns an error if the process still runs when ctx is
// done. The exit code does not matter.
func (p *Process) Terminate(ctx context.Context) error {
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s does not end after SIGTERM: %w", p.name, context.Cause(ctx))
	}
}

// signal ignores errors. The only possible error for such a process is that it has ended.
func (p *Process) signal(signal os.Signal) {
	if p.Running() {
		_ = p.process.Signal(signal)
	}
}

// Running reports whether the process still runs.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// logTail returns the last lines of the log, ready to be put at the end of an error message.
func (p *Process) logTail() string {
	const wanted = 15
	text, err := os.ReadFile(p.logFile)
	if err != nil || len(text) == 0 {
		return fmt.Sprintf("\nno log in %s", p.logFile)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	lines = lines[max(0, len(lines)-wanted):]
	return fmt.Sprintf("\nend of %s:\n\t%s", p.logFile, strings.Join(lines, "\n\t"))
}
