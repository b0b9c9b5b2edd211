package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/measurements"
	"github.com/example/ksmscale/telemetry"
)

// followsTheCluster has small shards, so that a cluster of 20,000 pods has several.
func followsTheCluster(spec *v1alpha1.KSMScaleSpec) {
	spec.Sharding.Auto = &v1alpha1.AutoSharding{TargetSeriesPerShard: 150_000, MinShards: 2, MaxShards: 10}
	spec.AutoResources = &v1alpha1.AutoResources{HeadroomPercent: 25}
	spec.Resources.Requests = corev1.ResourceList{}
}

// requestsFallAfter is how long a request is too large before it falls, in these tests.
const requestsFallAfter = 20 * time.Second

// decideQuickly shortens the times that sizes take to change, until the test ends.
func decideQuickly(t *testing.T) {
	t.Helper()
	setControllerArgs(t, "--size-interval=2s", "--gate-measure-interval=3s", "--shards-rise-after=10s", "--shards-fall-after=20s", "--reshard-hold=0s", "--requests-fall-after="+requestsFallAfter.String())
}

// growAndShrink lets the cluster grow tenfold and shrink again. The number of shards rises and falls with it, and no container restarts.
func growAndShrink(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	before := awaitSizes(t, ksmScale, func(int32) bool { return true })
	namespace := makeObjects(t, 9*objectsOfPods)
	grown := awaitSizes(t, ksmScale, func(shardCount int32) bool { return shardCount > before })
	assert.Greater(t, grown, before)
	require.NoError(t, shared.client.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}))
	// The namespace controller deletes thousands of pods in minutes, in which sizes can rest.
	await(t, "the end of the objects", func(ctx context.Context) error {
		err := shared.client.Get(ctx, client.ObjectKey{Name: namespace}, &corev1.Namespace{})
		if err == nil {
			return fmt.Errorf("namespace %s exists", namespace)
		}
		return client.IgnoreNotFound(err)
	})
	shrunk := awaitSizes(t, ksmScale, func(shardCount int32) bool { return shardCount < grown })
	assert.Equal(t, before, shrunk)
	t.Logf("shards: %d, with ten times the objects %d, and then %d again", before, grown, shrunk)
}

// objectsOfPods is how many objects of makeObjects include 2,000 pods.
const objectsOfPods = 2400

// withSizes reports whether to run the tests whose clusters have 20,000 pods, which take half an hour.
func withSizes() bool { return os.Getenv("E2E_SIZES") != "" }

func onlyWithSizes(t *testing.T) {
	t.Helper()
	if !withSizes() {
		t.Skip("takes half an hour: run make e2e-sizes")
	}
	t.Setenv("E2E_OBJECTS", strconv.Itoa(objectsOfPods))
	install(t)
}

// TestSizesFollowTheCluster audits shards whose number and size follow a cluster that grows from 2,000 pods to 20,000, and shrinks again.
// It adds a row to docs/coverage.md.
func TestSizesFollowTheCluster(t *testing.T) {
	onlyWithSizes(t)
	makeObjects(t, objectsOfPods)
	audited(t, event{
		name:    "sizes follow the cluster: 2,000 to 20,000 pods, and back",
		spec:    followsTheCluster,
		prepare: decideQuickly, happen: growAndShrink,
	}, "")
}

// TestSizesOfAFirstStart starts shards in a cluster that has 20,000 pods already. The size of their first pods is right at once, from
// counts of objects: for the recommended number of shards, and for the number in the spec.
func TestSizesOfAFirstStart(t *testing.T) {
	onlyWithSizes(t)
	counts := filepath.Join(shared.root, "deploy/rbac/object-counts.yaml")
	kubectl(t, "apply", "-f", counts)
	t.Cleanup(func() { kubectl(t, "delete", "-f", counts) })
	makeObjects(t, 10*objectsOfPods)
	// The times after which sizes change are the defaults, so the first pods stay.
	setControllerArgs(t, "--size-interval=2s", "--gate-measure-interval=3s")
	t.Run("recommended number", func(t *testing.T) {
		ksmScale := newKSMScale(followsTheCluster)
		firstStart(t, ksmScale)
		require.Greater(t, ksmScale.TotalShards(), int32(2), "the minimum needs no count")
	})
	t.Run("one shard", func(t *testing.T) {
		firstStart(t, newKSMScale(both(shards(1), func(spec *v1alpha1.KSMScaleSpec) {
			spec.AutoResources = &v1alpha1.AutoResources{HeadroomPercent: 25}
			spec.Resources.Requests = corev1.ResourceList{}
		})))
	})
}

// firstStart checks that the first pods of a KSMScale have the recommended request, that it suffices, and that they stay.
func firstStart(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	create(t, ksmScale)
	awaitReady(t, ksmScale)
	recommendation := ksmScale.Status.Recommendation
	require.NotNil(t, recommendation)
	require.NotNil(t, recommendation.MemoryRequest)
	t.Logf("%d shards of %s: %s", ksmScale.TotalShards(), recommendation.MemoryRequest, recommendation.Message)
	first := shardPods(t, ksmScale)
	require.Len(t, first, int(ksmScale.Status.DesiredReplicas))
	for _, pod := range first {
		assert.Zero(t, recommendation.MemoryRequest.Cmp(pod.Spec.Containers[0].Resources.Requests[corev1.ResourceMemory]), pod.Name)
	}
	awaitMeasurements(t, first)
	for _, pod := range first {
		peak := measurementOf(t, pod).PeakMemoryBytes
		t.Logf("%s: highest resident memory %d MiB", pod.Name, peak>>20)
		assert.Greater(t, float64(recommendation.MemoryRequest.Value())/float64(peak), 1.1, "the first request is too small")
	}
	assert.Equal(t, namesOf(first), namesOf(shardPods(t, ksmScale)), "no pod was replaced")
}

func namesOf(pods []corev1.Pod) []string {
	var names []string
	for _, pod := range pods {
		names = append(names, pod.Name)
	}
	return slices.Sorted(slices.Values(names))
}

// awaitMeasurements waits until the gate of each pod has measured twice.
func awaitMeasurements(t *testing.T, of []corev1.Pod) {
	t.Helper()
	before := map[string]time.Time{}
	await(t, "measurements of each gate", func(context.Context) error {
		for _, pod := range of {
			at := measurementOf(t, pod).MeasuredAt
			if before[pod.Name].IsZero() {
				before[pod.Name] = at
			}
			if !at.After(before[pod.Name]) {
				return fmt.Errorf("%s measured last at %s", pod.Name, at)
			}
		}
		return nil
	})
}

// awaitSizes waits until the KSMScale has a number of shards that will do, and is Ready and at rest for a while. It returns the number.
func awaitSizes(t *testing.T, ksmScale *v1alpha1.KSMScale, willDo func(shards int32) bool) int32 {
	t.Helper()
	const rest = 40 * time.Second
	var since time.Time
	var last string
	await(t, "sizes to settle", func(ctx context.Context) error {
		if err := shared.client.Get(ctx, client.ObjectKeyFromObject(ksmScale), ksmScale); err != nil {
			return err
		}
		recommendation := ksmScale.Status.Recommendation
		if recommendation == nil || recommendation.MemoryRequest == nil {
			return errors.New("there is no recommendation yet")
		}
		ready := slices.ContainsFunc(ksmScale.Status.Conditions, func(condition metav1.Condition) bool {
			return condition.Type == v1alpha1.ConditionReady && condition.Status == metav1.ConditionTrue
		})
		state := fmt.Sprintf("%d shards of %s, Ready %t", ksmScale.TotalShards(), recommendation.MemoryRequest, ready)
		if state != last || !ready || !willDo(ksmScale.TotalShards()) {
			since, last = time.Now(), state
		}
		if time.Since(since) < rest {
			return errors.New(state)
		}
		return nil
	})
	checkSizes(t, ksmScale)
	return ksmScale.TotalShards()
}

// checkSizes compares the memory requests with the memory of the processes, and requires that no process has restarted.
func checkSizes(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	for _, pod := range shardPods(t, ksmScale) {
		if pod.DeletionTimestamp != nil {
			continue
		}
		for _, containerStatus := range pod.Status.ContainerStatuses {
			assert.Zero(t, containerStatus.RestartCount, "%s of %s", containerStatus.Name, pod.Name)
		}
	}
	var peak int64
	for _, pod := range shardPods(t, ksmScale) {
		if pod.DeletionTimestamp == nil {
			peak = max(peak, measurementOf(t, pod).PeakMemoryBytes)
		}
	}
	recommended := ksmScale.Status.Recommendation.MemoryRequest
	t.Logf("%d shards: %s; memory request %s, highest resident memory %d MiB", ksmScale.TotalShards(), ksmScale.Status.Recommendation.Message, recommended, peak>>20)
	ratio := float64(recommended.Value()) / float64(peak)
	assert.GreaterOrEqual(t, ratio, 1.1, "the request is too small")
	assert.LessOrEqual(t, ratio, 1.75, "the request is too large")
}

// measurementOf reads what the gate of a pod has measured.
func measurementOf(t *testing.T, pod corev1.Pod) measurements.Measurement {
	t.Helper()
	return measurements.Of(telemetry.Families(gateMetrics(t, pod)))
}
