package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gonum.org/v1/plot/plotter"
)

const page = `Text.

<!-- measured: memory -->

| nodes | adapter | ratio |
| --- | --- | --- |
| 100 | 20 MiB | 1.0 |
| 15,000 | 23.5 MiB | 1.1 |

Other text.

<!-- measured: short -->

| nodes | adapter |
| --- | --- |
| 100 | 20 MiB |
`

func TestPoints(t *testing.T) {
	rows, err := tableOf(page, "memory")
	require.NoError(t, err)
	points, err := rows.points(curve{"adapter", "MiB"})
	require.NoError(t, err)
	assert.Equal(t, plotter.XYs{{X: 100, Y: 20}, {X: 15_000, Y: 23.5}}, points)
	points, err = rows.points(curve{"ratio", ""})
	require.NoError(t, err)
	assert.Equal(t, plotter.XYs{{X: 100, Y: 1}, {X: 15_000, Y: 1.1}}, points)
}

func TestTablesThatCannotBeDrawn(t *testing.T) {
	_, err := tableOf(page, "other")
	require.EqualError(t, err, "the page has no table other")
	_, err = tableOf(page, "short")
	require.EqualError(t, err, "table short has fewer than two rows")
	rows, err := tableOf(page, "memory")
	require.NoError(t, err)
	_, err = rows.points(curve{"controller", "MiB"})
	require.EqualError(t, err, "there is no column controller")
	_, err = rows.points(curve{"adapter", "s"})
	require.EqualError(t, err, `column adapter: "20 MiB" has no unit s`)
}
