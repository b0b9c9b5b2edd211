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

// Process is a running program that does not outlive this one: when this program ends, in whatever way, the
// kernel kills it. It runs in a process group of its own, so that a terminal's Ctrl-C reaches this program
// alone, which can then stop things in order.
type Process struct {
	name    string
	logFile string
	process *os.Process // nil if it had ended before it was looked for
	pid     int
	started string // see startTime
	done    chan struct{}
	err     error
}

// StartProcess starts command and appends what it prints to logFile. The name is for error messages. The
// command's Stdout, Stderr, Env and SysProcAttr are overwritten.
//
// On other systems than Linux the process survives if this program is killed.
func StartProcess(name, logFile string, command *exec.Cmd) (*Process, error) {
	return startProcess(name, logFile, command, false)
}

// startProcess does the work of StartProcess; a detached process gets a session of its own and lives on when
// this program ends.
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

// environment has programs run Go code on one thread where there are but two cores. A cluster's are many, and all keep
// waking up for a moment; on virtual machines it takes longer to wake another core than to do the work. With this a
// cluster with two real nodes started in 28 s rather than 76.
func environment() []string {
	const few = 2
	if runtime.NumCPU() > few {
		return os.Environ()
	}
	// What the user has set comes later, and wins.
	return append([]string{"GOMAXPROCS=1"}, os.Environ()...)
}

// findProcess returns the process that an earlier program started, or one that is done if it has ended
// meanwhile. The start time tells it from an unrelated process that was given the same id.
func findProcess(name, logFile string, pid int, started string) *Process {
	p := &Process{name: name, logFile: logFile, pid: pid, started: started, done: make(chan struct{})}
	running := func() bool {
		now, err := startTime(pid)
		return err == nil && now == started
	}
	// The handle is taken before the start time is compared: it stays with that process, so no signal can
	// reach a successor with the same id.
	process, err := os.FindProcess(pid)
	if err != nil || !running() {
		close(p.done)
		return p
	}
	p.process = process
	go func() {
		defer close(p.done)
		// Only a parent learns when a process ends, so everybody else has to look.
		_ = wait.PollUntilContextCancel(context.Background(), pollInterval, true,
			func(context.Context) (bool, error) { return !running(), nil })
	}()
	return p
}

// PID returns the process id.
func (p *Process) PID() int { return p.pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err waits for the process to end and returns how it ended: nil for exit code 0, else an error with the
// tail of its log, also when it was ended by a signal.
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

// Terminate asks the process to end with SIGTERM and waits until it has. It returns an error if the process
// still runs when ctx is done, and none if it ended, whatever its exit code.
func (p *Process) Terminate(ctx context.Context) error {
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s does not end after SIGTERM: %w", p.name, context.Cause(ctx))
	}
}

// signal ignores errors: the only one possible for a process of ours is that it has ended.
func (p *Process) signal(signal os.Signal) {
	if p.Running() {
		_ = p.process.Signal(signal)
	}
}

// Running tells whether the process has not ended yet.
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
