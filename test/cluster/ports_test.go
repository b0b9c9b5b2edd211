package cluster

import (
	"net"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFreePortsDifferAndAreFree(t *testing.T) {
	ports, err := FreePorts(t.Context(), 20)
	require.NoError(t, err)
	slices.Sort(ports)
	assert.Len(t, slices.Compact(ports), 20)
	listener, err := net.Listen("tcp", address(ports[0]))
	require.NoError(t, err)
	require.NoError(t, listener.Close())
}

func TestProcessesHaveDifferentPorts(t *testing.T) {
	var ours, theirs portBlock
	var all []int
	// More than a block has, so each port comes round again.
	for range portsInBlock {
		for _, process := range []*portBlock{&ours, &theirs} {
			port, err := process.next(t.Context())
			require.NoError(t, err)
			all = append(all, port)
		}
	}
	for i := 0; i < len(all); i += 2 {
		assert.NotEqual(t, all[i]/portsInBlock, all[i+1]/portsInBlock, "blocks do not overlap")
	}
	slices.Sort(all)
	assert.Greater(t, all[0], firstPort, "the first port of a block stays reserved")
	assert.LessOrEqual(t, all[len(all)-1], lastPort)
	assert.Less(t, lastPort, 30000, "NodePorts and outgoing connections begin there")
	require.NoError(t, ours.reservation.Close())
	require.NoError(t, theirs.reservation.Close())
}

func TestAPortInUseIsSkipped(t *testing.T) {
	var process portBlock
	port, err := process.next(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, process.reservation.Close()) })
	listener, err := listen(t.Context(), port+1)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, listener.Close()) })
	next, err := process.next(t.Context())
	require.NoError(t, err)
	assert.Equal(t, port+2, next)
}
