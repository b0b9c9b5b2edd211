package sharding

import (
	"encoding/csv"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"
)

// kube-state-metrics' own package computed the shards of the table: see `make generate`.
func TestShardIsTheSameAsInKubeStateMetrics(t *testing.T) {
	header, rows := shardTable(t)
	assert.GreaterOrEqual(t, len(rows), 1000)
	assert.Equal(t, []string{"uid", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"}, header)
	for _, row := range rows {
		uid := types.UID(row[0])
		for total := int32(1); int(total) < len(row); total++ {
			shard, err := strconv.ParseInt(row[total], 10, 32)
			require.NoError(t, err)
			require.Equal(t, []int32{int32(shard)}, shardsOf(uid, total), "UID %q of %d shards", uid, total)
		}
	}
}

func shardTable(t *testing.T) (header []string, rows [][]string) {
	t.Helper()
	file, err := os.Open("testdata/shards.csv")
	require.NoError(t, err)
	defer file.Close()
	table := csv.NewReader(file)
	table.Comment = '#'
	rows, err = table.ReadAll()
	require.NoError(t, err)
	require.NotEmpty(t, rows)
	return rows[0], rows[1:]
}

func TestEachObjectBelongsToOneShardAndMovesOnlyToANewOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		uid := types.UID(rapid.String().Draw(t, "uid"))
		total := rapid.Int32Range(1, 10).Draw(t, "total")
		before, after := shardsOf(uid, total), shardsOf(uid, total+1)
		require.Len(t, before, 1)
		require.Len(t, after, 1)
		require.True(t, after[0] == before[0] || after[0] == total, "from %d to %d of %d", before, after, total+1)
	})
}

func shardsOf(uid types.UID, total int32) []int32 {
	var shards []int32
	for shard := range total {
		if (Shard{ID: shard, Total: total}).Has(uid) {
			shards = append(shards, shard)
		}
	}
	return shards
}
