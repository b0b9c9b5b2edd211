package cluster

import (
	"crypto/sha256"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestUsageOf(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("the use of a process is read on Linux only")
	}
	before, err := UsageOf(os.Getpid())
	require.NoError(t, err)
	assert.Greater(t, before.Anonymous, uint64(1<<20))
	assert.GreaterOrEqual(t, before.Memory, before.Anonymous)
	assert.GreaterOrEqual(t, before.MaxMemory, before.Memory)
	held := make([]byte, 64<<20)
	for i := range held {
		held[i] = byte(i)
	}
	after, err := UsageOf(os.Getpid())
	require.NoError(t, err)
	assert.Greater(t, after.Anonymous, before.Anonymous+32<<20)
	assert.NotZero(t, held[1])

	sum := sha256.New()
	for range 10_000 {
		_, _ = sum.Write(make([]byte, 1<<20))
		if after, err = UsageOf(os.Getpid()); err != nil || after.CPU > before.CPU {
			break
		}
	}
	require.NoError(t, err)
	assert.Greater(t, after.CPU, before.CPU, "work takes time")

	_, err = UsageOf(1 << 30)
	assert.ErrorContains(t, err, "read the use of a process")
}
