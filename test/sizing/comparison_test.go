package main

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/example/ksmscale/sizing"
)

func TestComparison(t *testing.T) {
	counted := sizing.EstimateOf(map[string]int64{"pods": 20_000, "nodes": 667})
	compared := compare(20_000, 4, "v2.20.0", counted, result{series: 175_000, bytes: 30_000_000, most: 230 << 20})
	assert.Equal(t, int32(4), compared.recommendedShards)
	assert.InDelta(t, 1.4, float64(compared.first)/float64(230<<20), 0.3, "from counts")
	assert.InDelta(t, 1.4, float64(compared.later)/float64(230<<20), 0.2, "from the measurement")
	assert.Contains(t, compared.String(), "| 20000 | 4 | v2.20.0 | 4 | 230 MiB | 222 MiB | 0.97 |")

	unknown := compare(20_000, 4, "v2.99.0", counted, result{series: 175_000, bytes: 30_000_000, most: 230 << 20})
	assert.Contains(t, unknown.String(), "| 230 MiB | - | - | - | - |", "a version without a formula has no size before it runs")
	assert.Equal(t, compared.later, unknown.later)
}
