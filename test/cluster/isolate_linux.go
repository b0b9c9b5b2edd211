package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// forwarded are the signals that the first process passes to the inner one. Terminals and test runners send them to the
// process that they know.
var forwarded = []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT}

// privateFolders get a separate empty file system inside, because containerd, the kubelet and iptables write to fixed
// paths in them.
var privateFolders = []string{"/run", "/var/log", "/var/lib/kubelet"}

// kernelSettings are not part of any namespace, and the kubelet changes them; inside it changes copies.
var kernelSettings = []string{
	"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
	"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
}

func canIsolate() error {
	if os.Geteuid() != 0 {
		return errors.New("real nodes need root: run this as root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return errors.New("real nodes need the programs of some Debian packages: run `make node-packages`")
	}
	return nil
}

// runOutside is the first stage: it starts the second one in new namespaces and is its link to the world.
func runOutside() (int, error) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, forwarded...)
	command := again(stageInit)
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
		// A terminal's Ctrl-C goes to all of a process group; passed on as well it would count twice.
		Setpgid: true,
	}
	defer takeTerminal()()
	// See spawner for why it is not simply started here.
	started := make(chan error)
	spawner() <- func() { started <- command.Start() }
	if err := <-started; err != nil {
		return 1, fmt.Errorf("start in new namespaces: %w", err)
	}
	go pass(signals, command.Process)
	err := command.Wait()
	removeCgroups(cgroupPrefix + "*")
	if exitErr := (*exec.ExitError)(nil); errors.As(err, &exitErr) {
		return exitCode(exitErr.Sys().(syscall.WaitStatus)), nil
	}
	return 0, err
}

// takeTerminal returns a function that makes this program the reader of its terminal again. A shell in the namespaces may have
// become the reader, and cannot name the processes out here.
func takeTerminal() func() {
	foreground, err := unix.IoctlGetInt(int(os.Stdin.Fd()), unix.TIOCGPGRP)
	if err != nil {
		return func() {} // The input is no terminal.
	}
	return func() {
		// The kernel stops a program that does this in the background, unless it ignores this signal.
		signal.Ignore(syscall.SIGTTOU)
		_ = unix.IoctlSetPointerInt(int(os.Stdin.Fd()), unix.TIOCSPGRP, foreground)
	}
}

// runInit is the second stage. It is process 1 of its namespace, so it becomes the parent of orphans and waits for all of
// them. The actual program is another process, because process 1 would take os/exec's children from it.
func runInit() (int, error) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, forwarded...)
	if err := prepareNamespaces(); err != nil {
		return 1, err
	}
	command := again(stageInside)
	if err := command.Start(); err != nil {
		return 1, fmt.Errorf("start the program: %w", err)
	}
	go pass(signals, command.Process)
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 1, fmt.Errorf("wait for the program: %w", err)
		case pid == command.Process.Pid:
			return exitCode(status), nil
		}
	}
}

// again is this program with the same arguments.
func again(stage string) *exec.Cmd {
	command := exec.Command("/proc/self/exe")
	command.Args = os.Args
	command.Env = append(os.Environ(), isolationVariable+"="+stage)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	return command
}

func pass(signals <-chan os.Signal, to *os.Process) {
	for received := range signals {
		// It fails only if the process has ended, and then we are about to end too.
		_ = to.Signal(received)
	}
}

// exitCode is an exit code like a shell's: 128 plus the signal's number for a process that a signal has ended.
func exitCode(status syscall.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

func prepareNamespaces() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	for _, folder := range privateFolders {
		if err := os.MkdirAll(folder, 0o750); err != nil {
			return fmt.Errorf("create %s: %w", folder, err)
		}
		if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "mode=755"); err != nil {
			return fmt.Errorf("mount %s: %w", folder, err)
		}
	}
	for _, setting := range kernelSettings {
		if err := shadow(filepath.Join("/proc/sys", setting)); err != nil {
			return err
		}
	}
	if output, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("set lo up: %w: %s", err, output)
	}
	return nil
}

// shadow puts a copy of a kernel setting in its place.
func shadow(setting string) error {
	value, err := os.ReadFile(setting)
	if err != nil {
		return fmt.Errorf("read kernel setting: %w", err)
	}
	replacement := filepath.Join("/run/kernel-settings", setting)
	if err := os.MkdirAll(filepath.Dir(replacement), 0o700); err != nil {
		return fmt.Errorf("create folder for kernel settings: %w", err)
	}
	if err := os.WriteFile(replacement, value, 0o600); err != nil {
		return fmt.Errorf("copy kernel setting: %w", err)
	}
	if err := syscall.Mount(replacement, setting, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("put a copy in place of %s: %w", setting, err)
	}
	return nil
}
