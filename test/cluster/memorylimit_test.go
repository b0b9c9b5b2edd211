package cluster

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestMemoryGroup(t *testing.T) {
	for _, test := range []struct {
		cgroups, folder string
		isUnified       bool
	}{
		{"3:cpuset:/\n4:memory:/a/b\n0::/\n", "/sys/fs/cgroup/memory/a/b", false},
		{"0::/a/b\n", "/sys/fs/cgroup/a/b", true},
		{"3:cpuset:/\n", "", false},
	} {
		folder, isUnified := memoryGroup(test.cgroups)
		assert.Equal(t, test.folder, folder)
		assert.Equal(t, test.isUnified, isUnified)
	}
}
