package gate

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

// kube-state-metrics' own package decided the shards of the table: see `make generate`.
func TestShareIsThatOfKubeStateMetrics(t *testing.T) {
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
	reader := csv.NewReader(file)
	reader.Comment = '#'
	rows, err = reader.ReadAll()
	require.NoError(t, err)
	require.NotEmpty(t, rows)
	return rows[0], rows[1:]
}

func TestEachObjectBelongsToOneShardAndMovesOnlyToANewOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		uid := types.UID(rapid.String().Draw(t, "uid"))
		total := rapid.Int32Range(1, 10).Draw(t, "total")
		was, is := shardsOf(uid, total), shardsOf(uid, total+1)
		require.Len(t, was, 1)
		require.Len(t, is, 1)
		require.True(t, is[0] == was[0] || is[0] == total, "from %d to %d of %d", was, is, total+1)
	})
}

func shardsOf(uid types.UID, total int32) []int32 {
	var shards []int32
	for shard := range total {
		if (Share{Shard: shard, TotalShards: total}).Has(uid) {
			shards = append(shards, shard)
		}
	}
	return shards
}
