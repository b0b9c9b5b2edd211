package observation

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/completeness"
	"github.com/example/ksmscale/measurements"
)

// partitionKey identifies a partition of a KSMScale. The UID is another one after the KSMScale has been deleted and created again.
type partitionKey struct {
	ksmScale string
	uid      types.UID
	total    int32
}

// partitionCounts remembers what the gates of each partition have counted.
type partitionCounts map[partitionKey]*completeness.Partition

// add adds the last counts of pods, and returns what each partition exports. The current partition of each KSMScale stays even without pods,
// for example while its only pod is replaced. Another partition without pods stays until its rounds are too old.
func (p partitionCounts) add(ksmScales []v1alpha1.KSMScale, pods []corev1.Pod, readings map[types.UID]measurements.Measurement, now time.Time) map[partitionKey]completeness.Result {
	counts, uids := map[partitionKey][]completeness.Reading{}, map[string]types.UID{}
	for i := range ksmScales {
		name, uid := ksmScales[i].Name, ksmScales[i].UID
		uids[name], counts[partitionKey{name, uid, ksmScales[i].TotalShards()}] = uid, nil
	}
	for i := range pods {
		shard, isShard := v1alpha1.ShardOf(pods[i].Labels)
		if !isShard {
			continue
		}
		key := partitionKey{shard.KSMScale, uids[shard.KSMScale], shard.Total}
		counts[key] = append(counts[key], completeness.Reading{Pod: string(pods[i].UID), Shard: shard.ID, Counts: readings[pods[i].UID].Counts})
	}
	for key := range counts {
		if p[key] == nil {
			p[key] = &completeness.Partition{}
		}
	}
	results := map[partitionKey]completeness.Result{}
	for key, partition := range p {
		partition.Add(key.total, counts[key], now)
		exported := partition.Result(now)
		if _, exists := counts[key]; key.uid != uids[key.ksmScale] || !exists && !exported.Known {
			delete(p, key)
			continue
		}
		results[key] = exported
	}
	return results
}

// Completeness returns what the partition of a total exports. While that is not known, it returns what another partition of the KSMScale
// exports: while resharding, a new partition has not counted yet. A partition that no poll has looked at is waiting.
func (m *Measurements) Completeness(ksmScale string, total int32) completeness.Result {
	var exported completeness.Result
	isPolled, isWaiting, highest := false, false, int32(0)
	// The answer must not depend on the order of a map, because each other answer is a write of the status.
	for key, partition := range m.Latest().Objects.completeness {
		if key.ksmScale != ksmScale {
			continue
		}
		if key.total == total && partition.Known {
			return partition
		}
		isPolled, isWaiting = isPolled || key.total == total, isWaiting || partition.Waiting
		if partition.Known && key.total > highest {
			highest, exported = key.total, partition
		}
	}
	exported.Waiting = !exported.Known && (isWaiting || !isPolled)
	return exported
}
