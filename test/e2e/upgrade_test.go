package e2e

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/changes"
	"github.com/example/ksmscale/test/cluster/image"
	"github.com/example/ksmscale/test/rollouts"
)

// controllerName is the name of the controller's Deployment, and nextName that of another version beside it.
const controllerName, nextName = v1alpha1.ControllerLeaseName, v1alpha1.ControllerLeaseName + "-next"

// upgrade has the controller be of another version, which brings another image of the gate, and waits until all shards have it.
func upgrade(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	current, err := image.Released(shared.root)
	require.NoError(t, err)
	gate := image.Next(current.Gate)
	rollout := watchRollout(t, ksmScale, gate)
	setImages(t, image.Next(current.KSMScale), gate)
	t.Cleanup(func() { setImages(t, current.KSMScale.Pinned(), current.Gate.Pinned()) })
	rollout()
}

// upgradeAndBack has a controller of another version beside the current one. Each of them leads in turn, and brings its gate to all shards
// while the other one stands by. Then the current one is alone again. Each turn replaces each pod once.
func upgradeAndBack(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	current, err := image.Released(shared.root)
	require.NoError(t, err)
	// A machine that stalls must not change the leader.
	setControllerArgs(t, "--leader-elect-lease-duration=60s", "--leader-elect-renew-deadline=50s")
	before, seen := len(shardPods(t, ksmScale)), countPods(t, ksmScale)
	t.Cleanup(func() { scaleSystem(t, controllerName, 1) })
	next := startBeside(t, image.Next(current.KSMScale), image.Next(current.Gate))
	for _, turn := range []struct{ leader, standby, gate string }{
		{nextName, controllerName, image.Next(current.Gate)},
		{controllerName, nextName, current.Gate.Pinned()},
	} {
		rollout := watchRollout(t, ksmScale, turn.gate)
		scaleSystem(t, turn.standby, 0)
		awaitLeader(t, turn.leader)
		scaleSystem(t, turn.standby, 1)
		rollout()
		awaitAvailable(t, systemNamespace, turn.standby)
		awaitLeader(t, turn.leader)
	}
	require.NoError(t, shared.client.Delete(t.Context(), next, client.PropagationPolicy(metav1.DeletePropagationForeground)))
	await(t, "the current version to be alone", func(ctx context.Context) error {
		left, err := shared.clientset.CoreV1().Pods(systemNamespace).List(ctx, metav1.ListOptions{LabelSelector: deploymentLabel + "=" + nextName})
		if err == nil && len(left.Items) > 0 {
			err = fmt.Errorf("%d other pods are left", len(left.Items))
		}
		return err
	})
	awaitReady(t, ksmScale)
	assert.Equal(t, 3*before, seen(), "pods that the shards have had, of %d at a time, with two changes of the version", before)
}

// watchRollout begins to watch how shards get an image of the gate. The function that it returns waits until all have it. At no time do two
// of them replace their pods.
func watchRollout(t *testing.T, ksmScale *v1alpha1.KSMScale, gate string) (await func()) {
	t.Helper()
	watched := rollouts.New(t, shared.client, gate)
	return func() {
		t.Helper()
		awaitGates(t, ksmScale, watched, gate)
	}
}

func awaitGates(t *testing.T, ksmScale *v1alpha1.KSMScale, watched *rollouts.Watch, gate string) {
	t.Helper()
	count := int(ksmScale.Spec.Sharding.ShardCount)
	await(t, "all shards to have the gate "+gate, func(context.Context) error {
		if done := watched.Done(); done < count {
			return fmt.Errorf("%d of %d have it", done, count)
		}
		return nil
	})
	awaitReady(t, ksmScale)
	most, _ := watched.Most(ksmScale.Name)
	assert.Equal(t, 1, most, "shards that replace their pods at the same time")
	for _, pod := range shardPods(t, ksmScale) {
		if pod.DeletionTimestamp == nil {
			assert.Equal(t, gate, pod.Spec.Containers[1].Image, pod.Name)
		}
	}
}

// setImages waits until the controller runs from an image, and has another one for the gates.
func setImages(t *testing.T, ours, gate string) {
	t.Helper()
	changeController(t, "set", "image", "deployment/"+controllerName, "controller="+ours, "gate="+gate)
}

// deploymentLabel has the name of the Deployment on the pods of another version.
const deploymentLabel = "e2e.example.com/deployment"

// startBeside starts a controller from other images beside the current one, until the test ends. Both elect a leader.
func startBeside(t *testing.T, ours, gate string) *appsv1.Deployment {
	t.Helper()
	current, err := shared.clientset.AppsV1().Deployments(systemNamespace).Get(t.Context(), controllerName, metav1.GetOptions{})
	require.NoError(t, err)
	beside := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: nextName}, Spec: current.Spec}
	beside.Spec.Selector.MatchLabels[deploymentLabel] = nextName
	beside.Spec.Template.Labels[deploymentLabel] = nextName
	beside.Spec.Template.Spec.InitContainers[0].Image = gate
	beside.Spec.Template.Spec.Containers[0].Image = ours
	create(t, beside)
	awaitAvailable(t, systemNamespace, nextName)
	return beside
}

// awaitLeader waits until a pod of a Deployment leads.
func awaitLeader(t *testing.T, deployment string) {
	t.Helper()
	await(t, deployment+" to lead", func(ctx context.Context) error {
		name, err := leader(ctx)
		if err != nil {
			return err
		}
		var pod corev1.Pod
		if err := shared.client.Get(ctx, types.NamespacedName{Namespace: systemNamespace, Name: name}, &pod); err != nil {
			return err
		}
		if isNext := pod.Labels[deploymentLabel] == nextName; isNext != (deployment == nextName) || pod.DeletionTimestamp != nil {
			return fmt.Errorf("%s leads", name)
		}
		return nil
	})
}

// countPods counts the pods that shards have had since its call.
func countPods(t *testing.T, ksmScale *v1alpha1.KSMScale) (seen func() int) {
	t.Helper()
	var mu sync.Mutex
	all := sets.New[types.UID]()
	changes.Watch(t, shared.client, &corev1.PodList{}, func(_ watch.EventType, pod *corev1.Pod) {
		mu.Lock()
		all.Insert(pod.UID)
		mu.Unlock()
	}, client.InNamespace(monitoringNamespace), client.MatchingLabels{v1alpha1.LabelKSMScale: ksmScale.Name})
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		return all.Len()
	}
}
