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
	// 40 µs for each pod of the cluster, whose series are 35 with a part of its node's.
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

// bytesPerSeries is the size of one series in an uncompressed scrape.
const bytesPerSeries = 170

// seriesOfUnknown is the number of series of an object of a resource that was not counted.
const seriesOfUnknown = 10

// seriesOf are the series of one object of each resource, counted with v2.20.0, one container in each pod and few labels.
// test/sizing counts them.
var seriesOf = map[string]int64{
	"leases": 2, "serviceaccounts": 2, "storageclasses": 2,
	"configmaps": 3, "namespaces": 3, "networkpolicies": 3, "services": 3,
	"limitranges": 4, "mutatingwebhookconfigurations": 4, "validatingwebhookconfigurations": 4,
	"ingresses": 5, "secrets": 5,
	"endpoints": 6, "endpointslices": 6, "poddisruptionbudgets": 6, "volumeattachments": 6,
	"cronjobs":    8,
	"replicasets": 9, "replicationcontrollers": 9, "resourcequotas": 9,
	"daemonsets": 10, "persistentvolumeclaims": 10,
	"persistentvolumes":        11,
	"statefulsets":             12,
	"horizontalpodautoscalers": 14, "jobs": 14,
	"deployments": 20,
	"nodes":       24,
	"pods":        34,
}

// SeriesPerObject is the number of time series that kube-state-metrics exposes for one object of a resource, such as pods,
// with its default metrics.
func SeriesPerObject(resource string) int64 {
	if series, ok := seriesOf[resource]; ok {
		return series
	}
	return seriesOfUnknown
}

// EstimateOf estimates from the number of objects of each exported resource. Resources have the names of
// kube-state-metrics' flag --resources. A negative number means that the objects could not be counted: Secrets are then
// taken to be as many as ConfigMaps.
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
