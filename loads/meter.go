package loads

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/shardpods"
	"github.com/example/ksmscale/telemetry"
)

// parallelReads keep a round short without a crowd of connections.
const parallelReads = 16

// Meter reads how much CPU the pods of KSMScales with the strategy least-loaded use, and decides on the weights of
// their shards. Its methods may be called from several goroutines. Create it with NewMeter.
type Meter struct {
	objects  client.Reader
	clock    clock.WithTicker
	interval time.Duration
	onChange func()
	read     func(context.Context, *corev1.Pod) (reading, error)

	// last is what each pod was read to have used; the goroutine of Start has it for itself.
	last map[types.UID]reading

	mu         sync.Mutex
	partitions map[key]*partition
}

// key names a partition. Another KSMScale of the same name is another one.
type key struct {
	ksmScale types.UID
	total    int32
}

// NewMeter returns a Meter that reads each pod once in an interval. It finds KSMScales and pods by reading objects, and
// calls onChange when weights are to be recorded.
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
			klog.FromContext(ctx).Error(err, "Cannot measure the loads of shards, so that weights stay as they are")
		}
	}
}

// Weights are those to record for a KSMScale: the recorded ones, but for those that have to change.
func (m *Meter) Weights(ksmScale *v1alpha1.KSMScale) []v1alpha1.ShardWeights {
	if ksmScale.Spec.Strategy() != v1alpha1.LeastLoaded {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var weights []v1alpha1.ShardWeights
	for _, total := range totals(ksmScale) {
		of := ksmScale.Status.WeightsOf(total)
		if measured := m.partitions[key{ksmScale.UID, total}]; measured != nil && measured.decided != nil {
			of = measured.decided
		}
		if of != nil {
			weights = append(weights, v1alpha1.ShardWeights{TotalShards: total, Weights: of})
		}
	}
	return weights
}

// totals are the numbers of shards of the partitions that run, or are to.
func totals(ksmScale *v1alpha1.KSMScale) []int32 {
	totals := []int32{ksmScale.TotalShards()}
	if sharding := ksmScale.Status.ShardingStatus; sharding != nil {
		totals = append(totals, sharding.Partitions...)
	}
	slices.Sort(totals)
	return slices.Compact(totals)
}

// measure reads every pod once. One that cannot be read is not measured, and neither is a partition without a pod of
// each shard that is.
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
		pods, err := m.pods(ctx, ksmScale)
		if err != nil {
			return err
		}
		now := m.readAll(ctx, pods)
		for _, total := range totals(ksmScale) {
			key := key{ksmScale.UID, total}
			there[key] = m.partition(key)
			// While resharding, the load is divided between partitions as it will not be afterwards.
			if len(totals(ksmScale)) == 1 {
				changed = m.add(there[key], shardUses(total, pods, m.last, now), ksmScale.Status.WeightsOf(total)) || changed
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

func (m *Meter) pods(ctx context.Context, ksmScale *v1alpha1.KSMScale) ([]corev1.Pod, error) {
	var list corev1.PodList
	err := m.objects.List(ctx, &list, client.InNamespace(ksmScale.Spec.Namespace), client.MatchingLabels{v1alpha1.LabelKSMScale: ksmScale.Name})
	if err != nil {
		return nil, fmt.Errorf("list the pods of KSMScale %s: %w", ksmScale.Name, err)
	}
	var deployments appsv1.DeploymentList
	if err := m.objects.List(ctx, &deployments, client.InNamespace(ksmScale.Spec.Namespace), client.MatchingLabels{v1alpha1.LabelKSMScale: ksmScale.Name}); err != nil {
		return nil, fmt.Errorf("list the Deployments of KSMScale %s: %w", ksmScale.Name, err)
	}
	ours := slices.DeleteFunc(deployments.Items, func(deployment appsv1.Deployment) bool { return !metav1.IsControlledBy(&deployment, ksmScale) })
	return slices.DeleteFunc(shardpods.Of(ours, list.Items), func(pod corev1.Pod) bool { return !isReady(&pod) || pod.Status.PodIP == "" }), nil
}

// isReady tells whether a pod serves scrapes.
func isReady(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, func(condition corev1.PodCondition) bool {
		return condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue
	})
}

// readAll reads the pods that can be read.
func (m *Meter) readAll(ctx context.Context, pods []corev1.Pod) map[types.UID]reading {
	var mu sync.Mutex
	now := map[types.UID]reading{}
	var group errgroup.Group
	group.SetLimit(parallelReads)
	for i := range pods {
		group.Go(func() error {
			reading, err := m.read(ctx, &pods[i])
			if err != nil {
				klog.FromContext(ctx).V(1).Info("A pod is not measured", "reason", err.Error())
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			now[pods[i].UID] = reading
			return nil
		})
	}
	_ = group.Wait()
	return now
}

func (m *Meter) partition(key key) *partition {
	m.mu.Lock()
	defer m.mu.Unlock()
	if known := m.partitions[key]; known != nil {
		return known
	}
	return &partition{interval: m.interval}
}

// add tells whether weights are to be recorded that were not before.
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

// shardUses are what the pods of each shard of a partition used between two readings, or nil if some shard has no pod that
// has been read twice since it started.
func shardUses(total int32, pods []corev1.Pod, before, after map[types.UID]reading) [][]use {
	shards := make([][]use, total)
	for i := range pods {
		labels := pods[i].Labels
		shard, err := strconv.Atoi(labels[v1alpha1.LabelShardID])
		if err != nil || shard < 0 || shard >= int(total) || labels[v1alpha1.LabelTotalShards] != strconv.Itoa(int(total)) {
			continue
		}
		first, readBefore := before[pods[i].UID]
		last, readNow := after[pods[i].UID]
		seconds := last.at.Sub(first.at).Seconds()
		// A gate whose kube-state-metrics does not answer has the same reading again.
		if !readBefore || !readNow || first.started != last.started || seconds <= 0 {
			continue
		}
		shards[shard] = append(shards[shard], use{
			cpu: max(last.cpu-first.cpu, 0) / seconds, scraped: max(last.scraped-first.scraped, 0) / seconds,
		})
	}
	if slices.ContainsFunc(shards, func(pods []use) bool { return len(pods) == 0 }) {
		return nil
	}
	return shards
}
