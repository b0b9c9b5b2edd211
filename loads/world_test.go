package loads

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/scaling"
)

const interval = 30 * time.Second

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// world is a KSMScale whose pods use CPU: each a constant amount, and its part of what answering the scrapes of its shard
// takes. Replicas are the planned ones, without delay.
type world struct {
	client.Reader
	ksmScale *v1alpha1.KSMScale
	nodes    int
	// idle is the constant use of each pod, and scrapes the use of each shard's scrapes, in cores.
	idle    float64
	scrapes []float64
	// onePod is whether one of a shard's pods answers all scrapes, because Prometheus keeps its connection.
	onePod bool
	// deaf is whether gates have got no answer from kube-state-metrics since the start.
	deaf bool
	// noise is the random deviation of the use, as a fraction.
	noise float64

	random  *rand.Rand
	clock   *clocktesting.FakeClock
	meter   *Meter
	pods    []corev1.Pod
	used    map[types.UID]reading
	created int
	// told is how often onChange was called, and recorded the weights after each call.
	told     int
	recorded [][]int32
}

func newWorld(scrapes ...float64) *world {
	w := &world{
		ksmScale: &v1alpha1.KSMScale{
			ObjectMeta: metav1.ObjectMeta{Name: "main", UID: "uid"},
			Spec: v1alpha1.KSMScaleSpec{NodesPerMonitor: 15, Sharding: &v1alpha1.ShardingConfig{
				Enabled: true, ShardCount: int32(len(scrapes)), ReplicationStrategy: v1alpha1.LeastLoaded,
			}},
			Status: v1alpha1.KSMScaleStatus{ShardingStatus: &v1alpha1.ShardingStatus{}},
		},
		nodes: 45, idle: 0.1, scrapes: scrapes, random: rand.New(rand.NewPCG(1, 2)),
		clock: clocktesting.NewFakeClock(start), used: map[types.UID]reading{},
	}
	w.meter = NewMeter(w, w.clock, interval, func() { w.told++ })
	w.meter.read = func(_ context.Context, pod *corev1.Pod) (reading, error) {
		used, ok := w.used[pod.UID]
		if !ok {
			return used, errors.New("connection refused")
		}
		used.at = w.clock.Now()
		if w.deaf {
			used.at = start
		}
		return used, nil
	}
	w.scale()
	return w
}

// List lists what a cache would have.
func (w *world) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	switch list := list.(type) {
	case *v1alpha1.KSMScaleList:
		list.Items = []v1alpha1.KSMScale{*w.ksmScale.DeepCopy()}
	case *appsv1.DeploymentList:
		for _, total := range append(w.ksmScale.Status.ShardingStatus.Partitions, w.ksmScale.TotalShards()) {
			for id := range total {
				shard := v1alpha1.Shard{KSMScale: "main", ID: id, Total: total}
				list.Items = append(list.Items, appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{
					Name: shard.Name(), Labels: shard.Selector(), OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(w.ksmScale, v1alpha1.GroupVersion.WithKind("KSMScale"))},
				}, Status: appsv1.DeploymentStatus{ReadyReplicas: int32(len(w.podsOf(shard)))}})
			}
		}
	case *corev1.PodList:
		list.Items = slices.Clone(w.pods)
	}
	return nil
}

// scale has the replicas that are planned, and returns them.
func (w *world) scale() []int32 {
	var replicas []int32
	for _, shard := range scaling.New(w.ksmScale, scaling.Cluster{Nodes: w.nodes}).Shards {
		pods := w.podsOf(shard.Shard)
		for ; len(pods) < int(shard.Replicas); pods = w.podsOf(shard.Shard) {
			w.create(shard.Shard)
		}
		for _, surplus := range pods[shard.Replicas:] {
			w.pods = slices.DeleteFunc(w.pods, func(pod corev1.Pod) bool { return pod.UID == surplus.UID })
		}
		replicas = append(replicas, shard.Replicas)
	}
	return replicas
}

func (w *world) create(shard v1alpha1.Shard) {
	w.created++
	pod := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", shard.Name(), w.created), UID: types.UID(strconv.Itoa(w.created)), Labels: shard.Selector()},
		Status: corev1.PodStatus{PodIP: "10.0.0.1", Conditions: []corev1.PodCondition{
			{Type: corev1.PodReady, Status: corev1.ConditionTrue},
		}},
	}
	pod.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = "hash"
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: shard.Name() + "-hash", Controller: new(true)}}
	w.pods = append(w.pods, pod)
	w.used[pod.UID] = reading{started: float64(w.created)}
}

func (w *world) podsOf(shard v1alpha1.Shard) []corev1.Pod {
	return slices.DeleteFunc(slices.Clone(w.pods), func(pod corev1.Pod) bool {
		return pod.Labels[v1alpha1.LabelShardID] != strconv.Itoa(int(shard.ID)) || pod.Labels[v1alpha1.LabelTotalShards] != strconv.Itoa(int(shard.Total))
	})
}

// pass lets time pass: pods use CPU, the meter measures, and the controller records and scales.
func (w *world) pass(t *testing.T, duration time.Duration) {
	t.Helper()
	for range duration / interval {
		w.clock.Step(interval)
		for id, scrapes := range w.scrapes {
			pods := w.podsOf(v1alpha1.Shard{ID: int32(id), Total: int32(len(w.scrapes))})
			for i, pod := range pods {
				share := scrapes / float64(len(pods))
				if w.onePod {
					share = 0
				}
				if w.onePod && i == 0 {
					share = scrapes
				}
				w.use(pod.UID, share)
			}
		}
		w.round(t)
		w.scale()
	}
}

func (w *world) use(pod types.UID, scrapes float64) {
	used, ok := w.used[pod]
	if !ok {
		return
	}
	noisy := func() float64 { return interval.Seconds() * (1 + w.noise*(2*w.random.Float64()-1)) }
	scraped := scrapes * noisy()
	used.cpu += w.idle*noisy() + scraped
	used.scraped += scraped
	w.used[pod] = used
}

// round measures and records once.
func (w *world) round(t *testing.T) {
	t.Helper()
	require.NoError(t, w.meter.measure(t.Context()))
	w.ksmScale.Status.ShardingStatus.Weights = w.meter.Weights(w.ksmScale)
	weights := w.ksmScale.Status.WeightsOf(w.ksmScale.TotalShards())
	if last := len(w.recorded) - 1; weights != nil && (last < 0 || !slices.Equal(weights, w.recorded[last])) {
		w.recorded = append(w.recorded, slices.Clone(weights))
	}
}
