package sizing

import "slices"

const mebibyte = 1 << 20

// Formula is the measured memory and CPU time of one kube-state-metrics process of a version; docs/sizing.md has the
// measurements.
type Formula struct {
	// BaseBytes is the memory that a process takes without any objects, in bytes.
	BaseBytes float64
	// BytesPerSeries is the memory for each series that the shard exposes, in bytes.
	BytesPerSeries float64
	// BytesPerClusterSeries is the memory for each series that all shards expose together, in bytes: versions up to
	// v2.19.1 keep the objects of all shards.
	BytesPerClusterSeries float64
	// LoadSecondsPerSeries and LoadSecondsPerClusterSeries are the CPU time that a starting process takes, in seconds, for
	// each series of the shard, and for each of all shards, because it reads the objects of all.
	LoadSecondsPerSeries, LoadSecondsPerClusterSeries float64
}

// FormulaFor is the formula of a version of kube-state-metrics, such as v2.20.0. It returns false if the version was not
// measured; then only measurements of the processes that run count.
func FormulaFor(version string) (Formula, bool) {
	const perThousand = mebibyte / 1000.0
	// 40 µs for each pod of the cluster, which has 35 series.
	const loadOfCluster = 40e-6 / 35
	switch version {
	case "v2.20.0":
		return Formula{BaseBytes: 70 * mebibyte, BytesPerSeries: 0.87 * perThousand, LoadSecondsPerSeries: 2e-6, LoadSecondsPerClusterSeries: loadOfCluster}, true
	case "v2.18.0":
		return Formula{BaseBytes: 48 * mebibyte, BytesPerSeries: 0.37 * perThousand, BytesPerClusterSeries: 0.6 * perThousand,
			LoadSecondsPerSeries: 2e-6, LoadSecondsPerClusterSeries: loadOfCluster}, true
	default:
		return Formula{}, false
	}
}

// Memory is the resident memory of one shard in bytes, by its series and by the series of all shards.
func (f Formula) Memory(shardSeries, clusterSeries int64) int64 {
	return int64(f.BaseBytes + f.BytesPerSeries*float64(shardSeries) + f.BytesPerClusterSeries*float64(clusterSeries))
}

// LoadSeconds is the CPU time in seconds that one shard takes to load, by its series and by the series of all shards.
func (f Formula) LoadSeconds(shardSeries, clusterSeries int64) float64 {
	return f.LoadSecondsPerSeries*float64(shardSeries) + f.LoadSecondsPerClusterSeries*float64(clusterSeries)
}

// Estimate is what the objects of a cluster are expected to take in one exposition of all of them.
type Estimate struct {
	// Series is the number of time series.
	Series int64
	// ExpositionBytes is the size of an uncompressed scrape, in bytes.
	ExpositionBytes int64
	// Uncounted are the resources that are left out because they could not be counted, in alphabetical order.
	Uncounted []string
}

const (
	// NotCounted stands for the count of a resource whose objects could not be counted.
	NotCounted = -1
	// bytesPerSeries is the size of one series in an uncompressed scrape.
	bytesPerSeries = 170
)

// SeriesPerObject is the number of time series that kube-state-metrics exposes for one object of a resource, such as pods,
// with its default metrics.
func SeriesPerObject(resource string) int64 {
	switch resource {
	case "pods":
		return 35
	default:
		return 20
	}
}

// EstimateOf estimates from the number of objects of each exported resource. Resources have the names of
// kube-state-metrics' flag --resources. Secrets that could not be counted (NotCounted) are taken to be as many as
// ConfigMaps.
func EstimateOf(objects map[string]int64) Estimate {
	var estimate Estimate
	for resource, count := range objects {
		if count < 0 && resource == "secrets" {
			count = objects["configmaps"]
		}
		if count < 0 {
			estimate.Uncounted = append(estimate.Uncounted, resource)
			continue
		}
		estimate.Series += count * SeriesPerObject(resource)
	}
	estimate.ExpositionBytes = estimate.Series * bytesPerSeries
	slices.Sort(estimate.Uncounted)
	return estimate
}
