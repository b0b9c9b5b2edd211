package cluster

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// isolatedTest marks a test that runs in a separate process, to call Isolate at its start.
const isolatedTest = "CLUSTER_TEST_ISOLATED"

func TestMain(m *testing.M) {
	if os.Getenv(isolatedTest) == "" {
		os.Exit(m.Run())
	}
	if err := Isolate(); err != nil {
		panic(err)
	}
	os.Exit(isolatedProgram())
}

// isolatedProgram leaves an orphan behind, prints that it is ready and what it sees, and exits as requested.
func isolatedProgram() int {
	const commands = `sh -c 'sleep 1000 & echo orphan: $!'; ls /proc | grep -c '^[0-9]' ; ls /run | wc -l
		ip -brief link | cut -d ' ' -f 1; echo ready; read line; exit $line`
	command := exec.Command("sh", "-c", commands)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	_ = command.Run()
	return command.ProcessState.ExitCode()
}

func TestIsolate(t *testing.T) {
	if err := canIsolate(); err != nil {
		t.Skip(err)
	}
	t.Run("exit code", func(t *testing.T) {
		command, input, seen := startIsolated(t)
		assert.Contains(t, seen, "\nlo\n", "a network of its own: %s", seen)
		assert.NotContains(t, seen, "eth0")
		_, err := io.WriteString(input, "7\n")
		require.NoError(t, err)
		require.Error(t, command.Wait())
		assert.Equal(t, 7, command.ProcessState.ExitCode())
	})
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(signal.String(), func(t *testing.T) {
			command, _, _ := startIsolated(t)
			require.NoError(t, command.Process.Signal(signal))
			require.Error(t, command.Wait())
			assert.Eventually(t, func() bool { return len(processesWith(t, isolatedTest+"="+t.Name())) == 0 },
				waitLimit, pollInterval, "all processes are gone, orphans too")
		})
	}
}

// startIsolated returns what the program printed until it was ready.
func startIsolated(t *testing.T) (*exec.Cmd, io.Writer, string) {
	t.Helper()
	command := exec.Command("/proc/self/exe")
	command.Env = append(os.Environ(), isolatedTest+"="+t.Name())
	command.Stderr = os.Stderr
	input, err := command.StdinPipe()
	require.NoError(t, err)
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	t.Cleanup(func() { _ = command.Process.Kill() })
	var seen strings.Builder
	reader := bufio.NewReader(output)
	for {
		line, err := reader.ReadString('\n')
		require.NoError(t, err, seen.String())
		if line == "ready\n" {
			break
		}
		seen.WriteString(line)
	}
	assert.NotEmpty(t, processesWith(t, isolatedTest+"="+t.Name()))
	return command, input, "\n" + seen.String()
}

// processesWith returns the processes that have the variable in their environment.
func processesWith(t *testing.T, variable string) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	require.NoError(t, err)
	var pids []string
	for _, entry := range entries {
		variables, err := os.ReadFile("/proc/" + entry.Name() + "/environ")
		if err == nil && strings.Contains("\x00"+string(variables), "\x00"+variable+"\x00") {
			pids = append(pids, entry.Name())
		}
	}
	return pids
}
