package gate

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"
)

// The shards of these UIDs were read off kube-state-metrics v2.20.0 itself.
func TestShareIsThatOfKubeStateMetrics(t *testing.T) {
	for uid, shards := range map[types.UID]map[int32]int32{
		"00000000-0000-0000-0000-000000000000": {1: 0},
	} {
		for total, shard := range shards {
			assert.True(t, Share{Shard: shard, TotalShards: total}.Has(uid), "%s of %d", uid, total)
		}
	}
}

func TestEachObjectBelongsToOneShardAndMovesOnlyToANewOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		uid := types.UID(rapid.String().Draw(t, "uid"))
		total := rapid.Int32Range(1, 10).Draw(t, "total")
		was, is := shardOf(uid, total), shardOf(uid, total+1)
		require.Len(t, was, 1)
		require.Len(t, is, 1)
		require.True(t, is[0] == was[0] || is[0] == total, "from %d to %d of %d", was, is, total+1)
	})
}

func shardOf(uid types.UID, total int32) []int32 {
	var shards []int32
	for shard := range total {
		if (Share{Shard: shard, TotalShards: total}).Has(uid) {
			shards = append(shards, shard)
		}
	}
	return shards
}
