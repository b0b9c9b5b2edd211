package v1alpha1

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// Anyone who may label objects may write any number.
func TestShardOfLabels(t *testing.T) {
	for _, test := range []struct {
		id, total     string
		isShard, isIn bool
	}{
		{"0", "1", true, true},
		{"63", "64", true, true},
		{"3", "3", false, true},
		{"-1", "3", false, true},
		{"0", "65", false, false},
		{"0", "2000000000", false, false},
		{"0", "0", false, false},
		{"", "", false, false},
		{"one", "3", false, true},
	} {
		labels := map[string]string{LabelKSMScale: "main", LabelShardID: test.id, LabelTotalShards: test.total}
		_, isShard := ShardOf(labels)
		_, isIn := PartitionOf(labels)
		assert.Equal(t, test.isShard, isShard, "%v", labels)
		assert.Equal(t, test.isIn, isIn, "%v", labels)
	}
}
