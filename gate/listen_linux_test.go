package gate

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const listenVariable = "GATE_TEST_LISTEN"

// Without IPv6 in the kernel, Go listens on the IPv4 addresses instead of "::". kube-state-metrics listens on "::" by
// default. So users need no setting for such nodes, for kube-state-metrics or for the gate.
func TestListensWithoutIPv6(t *testing.T) {
	if address := os.Getenv(listenVariable); address != "" {
		listenWithoutIPv6(t, address)
		return
	}
	for _, address := range []string{"[::]:0", NewOptions().Address} {
		t.Run(address, func(t *testing.T) {
			host, _, err := net.SplitHostPort(address)
			require.NoError(t, err)
			// A separate process, because Go checks the kernel only once, and the filter cannot be removed.
			command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestListensWithoutIPv6$", "-test.v")
			command.Env = append(os.Environ(), listenVariable+"="+net.JoinHostPort(host, "0"))
			output, err := command.CombinedOutput()
			assert.NoError(t, err, string(output))
			assert.Contains(t, string(output), "reached over IPv4")
		})
	}
}

func listenWithoutIPv6(t *testing.T, address string) {
	t.Helper()
	require.NoError(t, takeIPv6Away())
	_, err := net.Listen("tcp6", "[::1]:0")
	require.ErrorIs(t, err, unix.EAFNOSUPPORT)
	listener, err := net.Listen("tcp", address)
	require.NoError(t, err)
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	connection, err := net.Dial("tcp", net.JoinHostPort("localhost", port))
	require.NoError(t, err)
	require.NoError(t, connection.Close())
	t.Log("reached over IPv4")
}

// takeIPv6Away makes the kernel answer this process like a kernel without IPv6.
func takeIPv6Away() error {
	const number, firstArgument = 0, 16 // Of struct seccomp_data.
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: number},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_SOCKET, Jf: 3},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: firstArgument},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.AF_INET6, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EAFNOSUPPORT)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up further privileges: %w", err)
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, failure := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if failure != 0 {
		return fmt.Errorf("filter system calls: %w", failure)
	}
	return nil
}
