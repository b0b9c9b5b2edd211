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
