package sizing_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/example/ksmscale/sizing"
)

var update = flag.Bool("update", false, "write the simulated table to the docs")

const (
	simulatedPage = "../docs/sizing-simulated.md"
	podsOfNode    = 30
	// gateMemory and gateCPU are what the gate of each pod requests, in bytes and in thousandths of a core.
	gateMemory = 64 * mib
	gateCPU    = 10
)

// simulated is what a KSMScale chose for a cluster of so many nodes, after it had measured its shards for some days.
type simulated struct {
	nodes, series int64
	bounds        sizing.Bounds
	version       string
	chosen, whole sizing.Recommendation
}

func simulate(t *testing.T, nodes int64, maxShards int32, version string) simulated {
	t.Helper()
	series := sizing.EstimateOf(map[string]int64{"pods": podsOfNode * nodes, "nodes": nodes, "leases": nodes}).Series
	settle := func(bounds sizing.Bounds) sizing.Recommendation {
		w := newWorld(func(time.Duration) float64 { return float64(series) })
		w.bounds, w.version = bounds, version
		w.start()
		first := w.running
		w.run(3*day, func(sizing.Figures) {})
		require.Equal(t, first.Shards, w.running.Shards, "the first number of shards stays")
		require.Equal(t, first.MemoryRequestBytes, w.running.MemoryRequestBytes, "the first size stays")
		return w.running
	}
	bounds := sizing.DefaultBounds()
	bounds.MaxShards = maxShards
	one := sizing.Bounds{MinShards: 1, MaxShards: 1}
	return simulated{nodes: nodes, series: series, bounds: bounds, version: version, chosen: settle(bounds), whole: settle(one)}
}

func (s simulated) pods() int64 { return int64(s.chosen.Shards * s.chosen.ReplicasPerShard) }

func (s simulated) memory() int64 { return s.pods() * (s.chosen.MemoryRequestBytes + gateMemory) }

func (s simulated) milliCPU() int64 { return s.pods() * (s.chosen.MilliCPURequest + gateCPU) }

// ratio is the memory of all pods against one process for the whole cluster.
func (s simulated) ratio() float64 {
	return float64(s.memory()) / float64(s.whole.MemoryRequestBytes)
}

// parts are the factors of the ratio: dividing, replicas and gates.
func (s simulated) parts() (dividing, replicas, gates float64) {
	dividing = float64(int64(s.chosen.Shards)*s.chosen.MemoryRequestBytes) / float64(s.whole.MemoryRequestBytes)
	return dividing, float64(s.chosen.ReplicasPerShard), 1 + gateMemory/float64(s.chosen.MemoryRequestBytes)
}

func (s simulated) row() string {
	dividing, replicas, gates := s.parts()
	return fmt.Sprintf("| %d (%d) | %s | %d | %d | %d | %d | %d MiB | %dm | %d | %.1f GiB, %.1f cores | %.1f GiB, %.1f cores | **%.1f ×** | %.2f × | %.0f × | %.2f × |\n",
		s.nodes, podsOfNode*s.nodes, s.version, s.series, s.bounds.MaxShards, s.chosen.Shards, s.series/int64(s.chosen.Shards),
		s.chosen.MemoryRequestBytes/mib, s.chosen.MilliCPURequest, s.pods(),
		float64(s.memory())/(1<<30), float64(s.milliCPU())/1000,
		float64(s.whole.MemoryRequestBytes)/(1<<30), float64(s.whole.MilliCPURequest)/1000, s.ratio(), dividing, replicas, gates)
}

const simulatedHeader = `# Sizing, simulated

` + "`go test ./sizing -run Simulation -update`" + ` writes this page. It simulates what ` + "`spec.sharding.auto`" + ` and
` + "`spec.autoResources`" + ` choose for clusters of 50 to 15,000 nodes with 30 pods each. The package that decides is the real one.
The measurements are not: each process takes the memory and CPU time of the formula in [sizing](sizing.md#measured). Beyond
20,000 pods the formula is extrapolated.

The simulated cluster has pods, nodes and their leases only, so the series are as in the tables there. Every shard has two
replicas, and a gate in each pod requests 64 MiB and 10m. "One process" is a single kube-state-metrics without a gate, which
holds the whole cluster. Its request comes from the same rules.

| nodes (pods) | version | series | ` + "`maxShards`" + ` | shards | series of a shard | memory request | CPU request | pods | requests of all pods | requests of one process | memory against one | from dividing | from replicas | from gates |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
`

const simulatedFooter = `
The last three columns multiply to the column before them:

- **Dividing** costs what every process takes anyway: 70 MiB with v2.20.0. The more series a shard has, the less this matters.
  With v2.18.0 it costs more, because a shard keeps the objects of all shards in memory.
- **Replicas** double everything. With one replica of each shard, half of the memory remains, and a drain leaves a gap.
- **Gates** matter for small shards only.

Requests move in steps of a quarter, so a request may exceed the memory and its headroom by up to a quarter. The same holds
for the one process. This moves "from dividing" by up to a quarter in either direction.

With a quarter to spare, the default target is 187,500 series for each shard. A shard has more only where ` + "`maxShards`" + ` allows no more shards.

One process costs less memory in every row. Shards buy a smaller process, a shorter scrape, and a start that takes less CPU.
`

// The page is what the package chooses. Its claims are checked here as well.
func TestSimulation(t *testing.T) {
	var page strings.Builder
	page.WriteString(simulatedHeader)
	for _, cluster := range []struct {
		nodes     int64
		maxShards int32
		version   string
	}{
		{50, 10, "v2.20.0"}, {500, 10, "v2.20.0"}, {500, 10, "v2.18.0"}, {5000, 10, "v2.20.0"}, {5000, 64, "v2.20.0"},
		{15_000, 10, "v2.20.0"}, {15_000, 64, "v2.20.0"},
	} {
		s := simulate(t, cluster.nodes, cluster.maxShards, cluster.version)
		page.WriteString(s.row())
		dividing, replicas, gates := s.parts()
		assert.InEpsilon(t, s.ratio(), dividing*replicas*gates, 1e-9)
		assert.Greater(t, s.ratio(), 1.0, "one process costs less")
		formula, _ := sizing.FormulaFor(s.version)
		need := func(shards int64) float64 { return float64(shards * formula.Memory(s.series/shards, s.series)) }
		exact := need(int64(s.chosen.Shards)) / need(1)
		assert.InDelta(t, 1, dividing/exact, 0.26, "steps explain the rest")
	}
	page.WriteString(simulatedFooter)
	t.Log("\n" + page.String())
	if *update {
		require.NoError(t, os.WriteFile(simulatedPage, []byte(page.String()), 0o644))
	}
	written, err := os.ReadFile(simulatedPage)
	require.NoError(t, err, "run with -update")
	assert.Equal(t, page.String(), string(written), "run with -update")
}
