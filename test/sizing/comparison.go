package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/controller/objectcounts"
	"github.com/example/ksmscale/sizing"
	"github.com/example/ksmscale/test/cluster"
)

// comparison compares what package sizing expects of a case with what its process took.
type comparison struct {
	pods, shards int
	version      string
	measured     result
	// recommendedShards is the number of shards that is recommended before anything runs.
	recommendedShards int32
	// first and later are the memory requests in bytes that are recommended before anything runs, and from the measurement.
	first, later int64
}

// estimate counts the objects of a cluster, as the controller does before the first pods of a KSMScale run.
func estimate(ctx context.Context, local *cluster.Cluster) (sizing.Estimate, error) {
	reader, err := client.New(local.Config(), client.Options{})
	if err != nil {
		return sizing.Estimate{}, fmt.Errorf("create client: %w", err)
	}
	exported := strings.Split(strings.TrimPrefix(resources, "--resources="), ",")
	counted := sizing.EstimateOf(objectcounts.NewCounter(reader, reader.RESTMapper(), clock.RealClock{}).Count(ctx, exported))
	if len(counted.Uncounted) > 0 {
		return counted, fmt.Errorf("cannot count %s", strings.Join(counted.Uncounted, ", "))
	}
	return counted, nil
}

// compare returns what is recommended for a case from the counts of objects, and then from its measurement.
func compare(pods, shards int, version string, counted sizing.Estimate, measured result) comparison {
	compared := comparison{pods: pods, shards: shards, version: version, measured: measured}
	fixed := sizing.Bounds{MinShards: int32(shards), MaxShards: int32(shards), TargetSeries: sizing.DefaultBounds().TargetSeries}
	request := func(figures sizing.Figures, previous sizing.Recommendation) sizing.Recommendation {
		recommendation, _ := sizing.DefaultSettings().Recommend(sizing.Input{
			Previous: previous, Figures: figures, Bounds: fixed, Size: sizing.DefaultSizeBounds(), ApplyShards: true,
		}, sizing.State{}, time.Now())
		return recommendation
	}
	expected := sizing.Figures{Version: version, Estimate: &counted}
	compared.recommendedShards = sizing.Shards(expected, sizing.DefaultBounds())
	compared.first = request(expected, sizing.Recommendation{}).MemoryRequestBytes
	seen := sizing.Figures{Version: version, Total: int32(shards)}
	for range shards {
		seen.Shards = append(seen.Shards, sizing.Measurement{
			Known: true, Series: int64(measured.series), ExpositionBytes: int64(measured.bytes), PeakMemoryBytes: int64(measured.most),
		})
	}
	compared.later = request(seen, sizing.Recommendation{}).MemoryRequestBytes
	return compared
}

// printComparisons prints the formula and the recommended requests next to the memory that each process took.
func printComparisons(out io.Writer, all []comparison) {
	fmt.Fprintln(out, "\nWhat was expected of these processes, and what they took:")
	fmt.Fprintln(out, "\n| pods | shards recommended | version | shards | memory at most | by the formula | times | first request, from counts | times | request, from the measurement | times |")
	fmt.Fprintln(out, "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, one := range all {
		fmt.Fprintln(out, one)
	}
}

// String is a row of the table.
func (c comparison) String() string {
	most := float64(c.measured.most)
	beside := func(bytes int64) string {
		if bytes == 0 {
			return "- | -"
		}
		return fmt.Sprintf("%d MiB | %.2f", bytes>>20, float64(bytes)/most)
	}
	var byFormula int64
	if formula, ok := sizing.FormulaFor(c.version); ok {
		byFormula = formula.Memory(int64(c.measured.series), int64(c.measured.series*c.shards))
	}
	return fmt.Sprintf("| %d | %d | %s | %d | %d MiB | %s | %s | %s |", c.pods, c.recommendedShards, c.version, c.shards, c.measured.most>>20,
		beside(byFormula), beside(c.first), beside(c.later))
}
