package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const before = `# Title

<!-- measured: memory -->

| nodes | adapter |
| --- | --- |
| 100 | old |
| 5,000 | kept |

Text after.
`

func TestRowsAreInTheOrderOfTheirSizes(t *testing.T) {
	content := before
	for size, cells := range map[int]string{100: "new", 1000: "added", 15_000: "last"} {
		var err error
		content, err = edited(content, "memory", withRow(size, cells))
		require.NoError(t, err)
	}
	assert.Equal(t, strings.Replace(before, "| 100 | old |\n| 5,000 | kept |\n", "| 100 | new |\n| 1,000 | added |\n| 5,000 | kept |\n| 15,000 | last |\n", 1), content)
}

func TestAllRowsOfATableAreReplaced(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.md")
	require.NoError(t, os.WriteFile(file, []byte(before), 0o600))
	require.NoError(t, (&page{file: file}).replace("memory", []string{"start | 1", " | 2"}))
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, strings.Replace(before, "| 100 | old |\n| 5,000 | kept |\n", "| start | 1 |\n|  | 2 |\n", 1), string(content))
}

func TestAPageWithoutTheTableIsRefused(t *testing.T) {
	_, err := edited(before, "other", withRow(1, ""))
	assert.ErrorContains(t, err, "<!-- measured: other --> is missing")
	_, err = edited("<!-- measured: other -->\n\ntext\n", "other", withRow(1, ""))
	assert.ErrorContains(t, err, "no table")
}

// Each table that this program writes is on the page.
func TestThePageHasAllTables(t *testing.T) {
	content, err := os.ReadFile("../../docs/performance.md")
	require.NoError(t, err)
	for _, table := range []string{"memory", "heartbeats", "requests", "requests of many", "ksmscales", "replica", "replica by resource"} {
		_, err := edited(string(content), table, withRow(1, ""))
		assert.NoError(t, err)
	}
}

func TestSummed(t *testing.T) {
	const metrics = `# HELP a_total Help.
# TYPE a_total counter
a_total{controller="x",result="error"} 2
a_total{controller="x",result="success"} 1e+02
a_total{controller="y",result="success"} 7
`
	families, err := parseMetrics(strings.NewReader(metrics))
	require.NoError(t, err)
	assert.InDelta(t, 102, summed(families["a_total"], "controller", "x"), 0)
}
