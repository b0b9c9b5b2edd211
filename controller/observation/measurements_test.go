package observation

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
	"github.com/example/ksmscale/measurements"
)

// podOf is a ready pod of a shard's Deployment.
func podOf(id int32, name string, overrides ...func(*corev1.Pod)) *corev1.Pod {
	pod := fixtures.Pod(id, name, func(p *corev1.Pod) {
		fixtures.OwnedByDeployment(p, fixtures.Shard(id))
		p.UID, p.Status.PodIP = types.UID(p.Name), "10.0.0.1"
	})
	for _, override := range overrides {
		override(&pod)
	}
	return &pod
}

func deploymentOf(id int32) *appsv1.Deployment {
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{
		Namespace: "monitoring", Name: fixtures.Shard(id).Name(), Labels: fixtures.Shard(id).Selector(),
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "monitor.example.com/v1alpha1", Kind: "KSMScale", Name: "main", UID: fixtures.KSMScale().UID, Controller: new(true)}},
	}, Status: appsv1.DeploymentStatus{ReadyReplicas: 2}}
}

func measuring(t *testing.T, readings map[string]measurements.Measurement, objects ...client.Object) (*Measurements, chan struct{}) {
	t.Helper()
	scheme := runtime.NewScheme()
	require.NoError(t, errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)))
	changed := make(chan struct{}, 1)
	objects = append(objects, fixtures.KSMScale())
	m := NewMeasurements(fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build(), clocktesting.NewFakeClock(fixtures.Time), time.Minute, 5*time.Minute, func() { changed <- struct{}{} })
	m.read = func(_ context.Context, pod *corev1.Pod) (measurements.Measurement, error) {
		reading, known := readings[pod.Name]
		if !known {
			return reading, errors.New("refused")
		}
		return reading, nil
	}
	return m, changed
}

func reading(series int64, cpuSeconds float64, at time.Time) measurements.Measurement {
	return measurements.Measurement{
		Exposition: measurements.Exposition{Series: series, ExpositionBytes: 100 * series, MeasuredAt: at},
		Process:    measurements.Process{StartTimeSeconds: 1, PeakMemoryBytes: 1000 * series, CPUSeconds: cpuSeconds, ReadAt: at},
	}
}

// Whoever creates a Deployment with our labels decides nothing about sizes.
func TestDeploymentsOfOthersAreNotMeasured(t *testing.T) {
	strangers := deploymentOf(0)
	strangers.OwnerReferences = nil
	m, _ := measuring(t, map[string]measurements.Measurement{fixtures.Shard(0).Name() + "-a": reading(10, 5, fixtures.Time)}, strangers, podOf(0, "a"))
	require.NoError(t, m.Poll(t.Context()))
	assert.Empty(t, m.Of("main"))
}

func TestMeasurementsHaveTheHighestOfEachShard(t *testing.T) {
	name := func(id int32, suffix string) string { return fixtures.Shard(id).Name() + "-" + suffix }
	readings := map[string]measurements.Measurement{
		name(0, "a"): reading(10, 5, fixtures.Time), name(0, "b"): reading(12, 7, fixtures.Time), name(1, "a"): reading(20, 9, fixtures.Time),
		name(1, "b"): reading(99, 0, fixtures.Time), name(1, "c"): reading(99, 0, fixtures.Time), name(2, "a"): {},
	}
	m, changed := measuring(t, readings, deploymentOf(0), deploymentOf(1), deploymentOf(2), podOf(0, "a"), podOf(0, "b"), podOf(1, "a"),
		podOf(1, "b", fixtures.NotReady), podOf(1, "c", func(p *corev1.Pod) { p.OwnerReferences = nil }), podOf(1, "d"), podOf(2, "a"))
	require.NoError(t, m.Poll(t.Context()))
	<-changed
	shards := m.Of("main")
	assert.Equal(t, map[v1alpha1.Shard]Measurement{
		fixtures.Shard(0): {Series: 12, ExpositionBytes: 1200, PeakMemoryBytes: 12000},
		fixtures.Shard(1): {Series: 20, ExpositionBytes: 2000, PeakMemoryBytes: 20000},
	}, shards, "neither unready pods, nor pods of others, nor gates that cannot be read or have measured nothing")
	assert.Empty(t, m.Of("other"))

	require.NoError(t, m.Poll(t.Context()))
	assert.Empty(t, changed, "nothing changed")
	readings[name(0, "b")] = reading(12, 13, fixtures.Time.Add(time.Minute))
	require.NoError(t, m.Poll(t.Context()))
	<-changed
	assert.InDelta(t, 0.1, m.Of("main")[fixtures.Shard(0)].CPUCores, 1e-9)
	restarted := reading(12, 50, fixtures.Time.Add(2*time.Minute))
	restarted.StartTimeSeconds = 2
	readings[name(0, "b")] = restarted
	require.NoError(t, m.Poll(t.Context()))
	<-changed
	assert.Zero(t, m.Of("main")[fixtures.Shard(0)].CPUCores, "the readings are of two processes")
}

// pollOnce polls, and takes the notification if there is one.
func pollOnce(t *testing.T, m *Measurements, changed <-chan struct{}) {
	t.Helper()
	require.NoError(t, m.Poll(t.Context()))
	select {
	case <-changed:
	default:
	}
}

// The only pod of a shard is replaced, which must not restart the times of sizes.
func TestAMeasurementIsKeptForSomeTime(t *testing.T) {
	name := fixtures.Shard(0).Name() + "-a"
	readings := map[string]measurements.Measurement{name: reading(10, 5, fixtures.Time)}
	m, changed := measuring(t, readings, deploymentOf(0), podOf(0, "a"))
	clock, ok := m.clock.(*clocktesting.FakeClock)
	require.True(t, ok)
	pollOnce(t, m, changed)
	measured := m.Of("main")
	require.NotEmpty(t, measured)

	delete(readings, name)
	clock.Step(keptFor - time.Second)
	pollOnce(t, m, changed)
	assert.Equal(t, measured, m.Of("main"))
	clock.Step(time.Second)
	pollOnce(t, m, changed)
	assert.Empty(t, m.Of("main"), "it is kept from the last reading on")
}

func TestNoMeasurementIsKeptOfADeletedKSMScale(t *testing.T) {
	name := fixtures.Shard(0).Name() + "-a"
	readings := map[string]measurements.Measurement{name: reading(10, 5, fixtures.Time)}
	m, changed := measuring(t, readings, deploymentOf(0), podOf(0, "a"))
	pollOnce(t, m, changed)
	writer, ok := m.objects.(client.Client)
	require.True(t, ok)
	require.NoError(t, writer.Delete(t.Context(), fixtures.KSMScale()))
	recreated := fixtures.KSMScale(func(k *v1alpha1.KSMScale) { k.UID = "another" })
	require.NoError(t, writer.Create(t.Context(), recreated))
	pollOnce(t, m, changed)
	assert.Empty(t, m.Of("main"))
}

// A gate keeps its last figures while it cannot measure.
func TestOldFiguresAreNoMeasurement(t *testing.T) {
	name := fixtures.Shard(0).Name() + "-a"
	readings := map[string]measurements.Measurement{name: reading(10, 5, fixtures.Time.Add(-keptFor-10*time.Minute))}
	m, changed := measuring(t, readings, deploymentOf(0), podOf(0, "a"))
	assert.Nil(t, m.Of("main"), "no gate has been read yet")
	pollOnce(t, m, changed)
	assert.NotNil(t, m.Of("main"))
	assert.Empty(t, m.Of("main"))
	readings[name] = reading(10, 5, fixtures.Time.Add(-keptFor-9*time.Minute))
	pollOnce(t, m, changed)
	assert.NotEmpty(t, m.Of("main"), "two intervals of the gate may pass")
}

func TestCPUUseAfterAMissedReading(t *testing.T) {
	name := fixtures.Shard(0).Name() + "-a"
	readings := map[string]measurements.Measurement{name: reading(10, 5, fixtures.Time)}
	m, changed := measuring(t, readings, deploymentOf(0), podOf(0, "a"))
	pollOnce(t, m, changed)
	delete(readings, name)
	pollOnce(t, m, changed)
	readings[name] = reading(10, 17, fixtures.Time.Add(2*time.Minute))
	pollOnce(t, m, changed)
	assert.InDelta(t, 0.1, m.Of("main")[fixtures.Shard(0)].CPUCores, 1e-9)
}

// Who creates pods can add one that looks like a pod of a Deployment.
func TestAShardWithMorePodsThanItsDeploymentIsNotMeasured(t *testing.T) {
	one := deploymentOf(0)
	one.Status.ReadyReplicas = 1
	readings := map[string]measurements.Measurement{}
	for _, suffix := range []string{"a", "forged"} {
		readings[fixtures.Shard(0).Name()+"-"+suffix] = reading(10, 5, fixtures.Time)
	}
	m, changed := measuring(t, readings, one, podOf(0, "a"), podOf(0, "forged"))
	pollOnce(t, m, changed)
	assert.Empty(t, m.Of("main"))
}

// A Deployment counts a ready pod a moment after the pod is ready.
func TestPodsThatAreNotCountedYetAreNotMeasuredYet(t *testing.T) {
	one := deploymentOf(0)
	one.Status.ReadyReplicas = 1
	justReady := func(p *corev1.Pod) {
		for i := range p.Status.Conditions {
			p.Status.Conditions[i].LastTransitionTime = metav1.NewTime(fixtures.Time.Add(-9 * time.Second))
		}
	}
	readings := map[string]measurements.Measurement{}
	for series, suffix := range []string{"a", "new"} {
		readings[fixtures.Shard(0).Name()+"-"+suffix] = reading(int64(series+1), 5, fixtures.Time)
	}
	m, changed := measuring(t, readings, one, podOf(0, "a"), podOf(0, "new", justReady))
	pollOnce(t, m, changed)
	assert.EqualValues(t, 1, m.Of("main")[fixtures.Shard(0)].Series)
}
