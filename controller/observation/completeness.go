package observation

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/completeness"
	"github.com/example/ksmscale/measurements"
)

// partitionKey identifies a partition of a KSMScale.
type partitionKey struct {
	ksmScale string
	total    int32
}

// partitionCounts remembers what the gates of each partition have counted.
type partitionCounts map[partitionKey]*completeness.Partition

// add adds the last counts of pods, and returns what each partition exports. It forgets partitions without pods.
func (p partitionCounts) add(pods []corev1.Pod, readings map[types.UID]measurements.Measurement, now time.Time) map[partitionKey]completeness.Result {
	counts := map[partitionKey][]completeness.Reading{}
	for i := range pods {
		shard, isShard := v1alpha1.ShardOf(pods[i].Labels)
		if !isShard {
			continue
		}
		key := partitionKey{shard.KSMScale, shard.Total}
		counts[key] = append(counts[key], completeness.Reading{Pod: string(pods[i].UID), Shard: shard.ID, Counts: readings[pods[i].UID].Counts})
	}
	for key := range p {
		if _, exists := counts[key]; !exists {
			delete(p, key)
		}
	}
	results := map[partitionKey]completeness.Result{}
	for key, readings := range counts {
		if p[key] == nil {
			p[key] = &completeness.Partition{}
		}
		p[key].Add(key.total, readings, now)
		results[key] = p[key].Result(now)
	}
	return results
}

// Completeness returns what the partition of a total exports. While that is not known, it returns what another partition of the KSMScale
// exports: while resharding, a new partition has not counted yet.
func (m *Measurements) Completeness(ksmScale string, total int32) completeness.Result {
	results := m.Latest().Objects.completeness
	result := results[partitionKey{ksmScale, total}]
	if result.Known {
		return result
	}
	// The answer must not depend on the order of a map, because each other answer is a write of the status.
	highest := int32(0)
	for key, other := range results {
		if other.Known && key.ksmScale == ksmScale && key.total > highest {
			highest, result = key.total, other
		}
	}
	return result
}
