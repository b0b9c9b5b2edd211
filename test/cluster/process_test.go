package cluster

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// waitLimit only limits a failing test. All waits end as soon as their event has happened.
const waitLimit = 2 * time.Minute

func TestProcessReportsItsEnd(t *testing.T) {
	p := startShell(t, "echo on stderr >&2; exit 3")
	require.ErrorContains(t, p.Err(), "exit status 3")
	require.ErrorContains(t, p.Err(), "on stderr")
	require.NoError(t, startShell(t, "exit 0").Err())
}

func TestProcessAppendsToItsLog(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	for _, word := range []string{"first", "second"} {
		p, err := StartProcess("echo", log, exec.Command("echo", word))
		require.NoError(t, err)
		require.NoError(t, p.Err())
	}
	text, err := os.ReadFile(log)
	require.NoError(t, err)
	assert.Equal(t, "first\nsecond\n", string(text))
}

func TestProcessEnds(t *testing.T) {
	t.Run("kill", func(t *testing.T) {
		p := startShell(t, "exec sleep 1000")
		p.Kill()
		assert.ErrorContains(t, p.Err(), "killed")
		p.Kill() // once more does no harm
	})
	t.Run("terminate", func(t *testing.T) {
		p := startShell(t, "exec sleep 1000")
		require.NoError(t, p.Terminate(t.Context()))
		assert.ErrorContains(t, p.Err(), "terminated")
	})
	t.Run("deaf to SIGTERM", func(t *testing.T) {
		p := startShell(t, "trap '' TERM; echo deaf; exec sleep 1000")
		require.Eventually(t, func() bool {
			log, err := os.ReadFile(p.logFile)
			return err == nil && string(log) == "deaf\n"
		}, waitLimit, pollInterval)
		ctx, cancel := context.WithTimeout(t.Context(), pollInterval)
		defer cancel()
		require.ErrorIs(t, p.Terminate(ctx), context.DeadlineExceeded)
		p.Kill()
	})
}

func TestFindProcess(t *testing.T) {
	p := startShell(t, "exec sleep 1000")
	successor := findProcess("sleep", p.logFile, p.pid, "another start time")
	<-successor.Done()
	successor.Kill()
	require.True(t, p.Running(), "a process with the same id but another start time is not ours")

	process := findProcess("sleep", p.logFile, p.pid, p.started)
	require.True(t, process.Running())
	require.NoError(t, process.Terminate(t.Context()))
	<-p.Done()
	<-findProcess("sleep", p.logFile, p.pid, p.started).Done()
}

// The test has two parts. Started with the variable, it is the program that is killed.
func TestProcessDiesWithItsParent(t *testing.T) {
	const variable = "CLUSTER_TEST_PARENT"
	if os.Getenv(variable) != "" {
		p, err := StartProcess("sleep", os.DevNull, exec.Command("sleep", "1000"))
		require.NoError(t, err)
		fmt.Fprintln(os.Stdout, "child:", p.PID())
		<-p.Done()
		return
	}
	parent := exec.Command(os.Args[0], "-test.run=^TestProcessDiesWithItsParent$")
	parent.Env = append(os.Environ(), variable+"=yes")
	output, err := parent.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, parent.Start())
	line, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	child, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, "child:")))
	require.NoError(t, err)
	_, err = startTime(child)
	require.NoError(t, err)

	require.NoError(t, parent.Process.Kill())
	require.Error(t, parent.Wait())
	assert.Eventually(t, func() bool { _, err := startTime(child); return err != nil }, waitLimit, pollInterval)
}

func startShell(t *testing.T, commands string) *Process {
	t.Helper()
	p, err := StartProcess("shell", filepath.Join(t.TempDir(), "log"), exec.Command("sh", "-c", commands))
	require.NoError(t, err)
	t.Cleanup(p.Kill)
	return p
}
