package loads

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/shardpods"
	"github.com/example/ksmscale/telemetry"
)

// Meter reads the CPU of the pods of KSMScales with the strategy least-loaded, and decides the weights of their shards.
// Its methods are safe for concurrent use. Create it with NewMeter.
type Meter struct {
	objects  client.Reader
	clock    clock.WithTicker
	interval time.Duration
	onChange func()
	read     func(context.Context, *corev1.Pod) (reading, error)

	// last is the last reading of each pod. Only the goroutine of Start uses it.
	last map[types.UID]reading

	mu         sync.Mutex
	partitions map[key]*partition
}

// key identifies a partition. KSMScales of the same name have different UIDs.
type key struct {
	ksmScale types.UID
	total    int32
}

// NewMeter returns a Meter that reads each pod once in an interval. It reads KSMScales and pods from objects. It calls
// onChange when there are new weights to record.
func NewMeter(objects client.Reader, clock clock.WithTicker, interval time.Duration, onChange func()) *Meter {
	return &Meter{
		objects: objects, clock: clock, interval: interval, onChange: onChange,
		read: func(ctx context.Context, pod *corev1.Pod) (reading, error) { return read(ctx, telemetry.Client{}, pod) },
		last: map[types.UID]reading{}, partitions: map[key]*partition{},
	}
}

// Start measures until the context is done.
func (m *Meter) Start(ctx context.Context) error {
	ticker := m.clock.NewTicker(m.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
		if err := m.measure(ctx); err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "Cannot measure the loads of shards, so weights stay as they are")
		}
	}
}

// Weights are the weights to record for a KSMScale: new weights where they have to change, and the recorded weights
// otherwise.
func (m *Meter) Weights(ksmScale *v1alpha1.KSMScale) []v1alpha1.ShardWeights {
	if ksmScale.Spec.Strategy() != v1alpha1.LeastLoaded {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var weights []v1alpha1.ShardWeights
	for _, total := range totals(ksmScale) {
		recorded := ksmScale.Status.WeightsOf(total)
		if measured := m.partitions[key{ksmScale.UID, total}]; measured != nil && measured.decided != nil {
			recorded = measured.decided
		}
		if recorded != nil {
			weights = append(weights, v1alpha1.ShardWeights{TotalShards: total, Weights: recorded})
		}
	}
	return weights
}

// totals are the totals of the running partitions and of the desired one.
func totals(ksmScale *v1alpha1.KSMScale) []int32 {
	all := []int32{ksmScale.TotalShards()}
	if sharding := ksmScale.Status.ShardingStatus; sharding != nil {
		all = append(all, sharding.Partitions...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// measure reads every pod once. It skips pods that it cannot read, and partitions without a measured pod of each shard.
func (m *Meter) measure(ctx context.Context) error {
	var list v1alpha1.KSMScaleList
	if err := m.objects.List(ctx, &list); err != nil {
		return fmt.Errorf("list KSMScales: %w", err)
	}
	seen, there := map[types.UID]reading{}, map[key]*partition{}
	var changed bool
	for i := range list.Items {
		ksmScale := &list.Items[i]
		if ksmScale.Spec.Strategy() != v1alpha1.LeastLoaded {
			continue
		}
		pods, err := shardpods.Serving(ctx, m.objects, ksmScale, m.clock.Now())
		if err != nil {
			return err
		}
		now := shardpods.ReadEach(ctx, pods, m.read, func(_ *corev1.Pod, err error) {
			klog.FromContext(ctx).V(1).Info("Cannot measure a pod", "reason", err.Error())
		})
		for _, total := range totals(ksmScale) {
			partitionKey := key{ksmScale.UID, total}
			there[partitionKey] = m.partition(partitionKey)
			// During a reshard, two partitions divide the load, so it does not show the load of one partition.
			if len(totals(ksmScale)) == 1 {
				changed = m.add(there[partitionKey], shardUses(total, pods, m.last, now), ksmScale.Status.WeightsOf(total)) || changed
			}
		}
		maps.Copy(seen, now)
	}
	m.last = seen
	m.mu.Lock()
	m.partitions = there
	m.mu.Unlock()
	if changed {
		m.onChange()
	}
	return nil
}

func (m *Meter) partition(partitionKey key) *partition {
	m.mu.Lock()
	defer m.mu.Unlock()
	if known := m.partitions[partitionKey]; known != nil {
		return known
	}
	return &partition{interval: m.interval}
}

// add reports whether there are new weights to record.
func (m *Meter) add(to *partition, shards [][]use, recorded []int32) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := to.decided
	if shards != nil {
		to.add(shards, m.clock.Now())
		to.decide(recorded, m.clock.Now())
	}
	return to.decided != nil && !slices.Equal(to.decided, before)
}

// shardUses is the use of the pods of each shard of a partition between two readings. It is nil if a shard has no pod with
// two readings since its start.
func shardUses(total int32, pods []corev1.Pod, before, after map[types.UID]reading) [][]use {
	shards := make([][]use, total)
	for i := range pods {
		shard, ok := v1alpha1.ShardOf(pods[i].Labels)
		if !ok || shard.Total != total || shard.ID < 0 || shard.ID >= total {
			continue
		}
		first, readBefore := before[pods[i].UID]
		last, readNow := after[pods[i].UID]
		seconds := last.at.Sub(first.at).Seconds()
		// If kube-state-metrics does not answer, its gate repeats the last reading.
		if !readBefore || !readNow || first.started != last.started || seconds <= 0 {
			continue
		}
		shards[shard.ID] = append(shards[shard.ID], use{
			cpu: max(last.cpu-first.cpu, 0) / seconds, scraped: max(last.scraped-first.scraped, 0) / seconds,
		})
	}
	if slices.ContainsFunc(shards, func(pods []use) bool { return len(pods) == 0 }) {
		return nil
	}
	return shards
}
