package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/term"
)

// prompt reminds that the shell is in the lab.
const prompt = `PS1='lab \w $ '`

// shell runs bash with kubectl ready, until it ends or the context is done. It returns an error with its exit code, unless
// that is the code of Ctrl-C.
func (l *lab) shell(ctx context.Context, prometheus string) error {
	lab, err := os.Executable()
	if err != nil {
		return err
	}
	settings := filepath.Join(l.cluster.Dir(), "bashrc")
	if err := os.WriteFile(settings, []byte(prompt+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the settings of the shell: %w", err)
	}
	command := exec.CommandContext(ctx, "bash", "--rcfile", settings)
	command.Dir = l.root
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.Env = append(os.Environ(),
		"KUBECONFIG="+l.cluster.Kubeconfig(),
		"PATH="+filepath.Dir(lab)+":"+filepath.Join(l.root, "bin")+":"+os.Getenv("PATH"),
		prometheusVariable+"="+prometheus,
		folderVariable+"="+l.cluster.Dir(),
	)
	// The programs that the shell has started end with it.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.WaitDelay = time.Second
	interactive := term.IsTerminal(int(os.Stdin.Fd()))
	if interactive {
		// The shell reads the terminal, so it must be in the foreground. A program in the background may set that only while
		// it ignores this signal.
		signal.Ignore(syscall.SIGTTOU)
		command.SysProcAttr.Foreground = true
		command.SysProcAttr.Ctty = int(os.Stdin.Fd())
	}
	err = command.Run()
	var exit *exec.ExitError
	if ctx.Err() != nil || interactive && errors.As(err, &exit) {
		// Ctrl-C ends the lab, and an interactive shell has the exit code of its last command.
		return nil
	}
	return err
}
