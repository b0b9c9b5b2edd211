package integration

import (
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/changes"
	"github.com/example/ksmscale/test/cluster/audit"
	"github.com/example/ksmscale/test/installation"
)

// Adapter and controller are killed in turn. Replicas never fall, and scaling continues.
func TestKillingComponents(t *testing.T) {
	leaveRunning(t)
	mark := auditMark(t)
	setNodes(t, 90)
	ksmScale := create(t, newKSMScale())
	awaitReplicas(t, ksmScale, 2, 2, 2)
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAsPlanned)
	watched := watchReplicas(t, ksmScale)

	t.Run("adapter", func(t *testing.T) {
		shared.adapter.Kill()
		awaitCondition(t, ksmScale, v1alpha1.ConditionAutoscaling, metav1.ConditionFalse, "FailedDiscoveryCheck")
		setNodes(t, 120)
		var err error
		shared.adapter, err = shared.installed.StartAdapter(t.Context(), "adapter-restarted")
		require.NoError(t, err)
		awaitReplicas(t, ksmScale, 3, 3, 2)
		awaitCondition(t, ksmScale, v1alpha1.ConditionAutoscaling, metav1.ConditionTrue, v1alpha1.ReasonFollowingNodes)
	})
	t.Run("one of two adapters", func(t *testing.T) {
		second, err := shared.installed.StartAdapter(t.Context(), "adapter-second")
		require.NoError(t, err)
		awaitLog(t, "adapter-second", "Serving securely")
		setNodes(t, 130)
		awaitReplicas(t, ksmScale, 3, 3, 3)
		shared.adapter.Kill()
		shared.adapter = second
		setNodes(t, 136)
		awaitReplicas(t, ksmScale, 4, 3, 3)
	})
	t.Run("controller", func(t *testing.T) {
		shared.controller.Kill()
		setNodes(t, 160)
		awaitReplicas(t, ksmScale, 4, 4, 3)
		startController(t, "controller-restarted")
		awaitNodeCount(t, ksmScale, 160)
		awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAsPlanned)
	})
	t.Run("leader of two controllers", func(t *testing.T) {
		leader := shared.controller
		before := leaseHolder(t)
		startController(t, "controller-second")
		t.Cleanup(leader.Kill)
		require.EventuallyWithT(t, func(c *assert.CollectT) {
			response := askWith(t.Context(), c, http.DefaultClient, shared.controller.HealthURL+"/readyz")
			require.Equal(c, http.StatusOK, response.code, response.body)
		}, eventually, poll)
		whileBothRun := create(t, newKSMScale())
		awaitReplicas(t, whileBothRun, 4, 4, 3)
		assert.Equal(t, before, leaseHolder(t), "the second waits")
		leader.Kill()
		setNodes(t, 180)
		awaitReplicas(t, ksmScale, 4, 4, 4)
		awaitReplicas(t, whileBothRun, 4, 4, 4)
		awaitNodeCount(t, ksmScale, 180)
		awaitNodeCount(t, whileBothRun, 180)
		assert.NotEqual(t, before, leaseHolder(t))
	})

	require.Eventually(t, func() bool {
		return maps.Equal(watched.last(), map[string]int32{
			shardOf(ksmScale, 0).Name(): 4, shardOf(ksmScale, 1).Name(): 4, shardOf(ksmScale, 2).Name(): 4,
		})
	}, eventually, poll, "every change was watched")
	assert.Empty(t, watched.falls(), "replicas never fall")
	events := auditSince(t, mark)
	created := map[string]int{}
	for object, count := range audit.Creates(events, controllerUser) {
		if object.Name != "" { // Reviews have no names.
			assert.Equal(t, 1, count, "%v is created once", object)
			created[object.Resource]++
		}
	}
	for _, kind := range []string{"deployments", "services", "horizontalpodautoscalers", "poddisruptionbudgets"} {
		assert.Equal(t, 2*3, created[kind], "%s of two KSMScales with three shards", kind)
	}
	assert.Empty(t, uris(audit.NoOpPatches(events, controllerUser)), "no patch leaves an object as it was")
}

// leaveRunning has a controller, an adapter and external metrics after the test, also if it fails in between.
func leaveRunning(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		if !shared.controller.Running() {
			startController(t, "controller-after-"+t.Name())
		}
		if !shared.adapter.Running() {
			var err error
			shared.adapter, err = shared.installed.StartAdapter(afterwards(t), "adapter-after-"+t.Name())
			require.NoError(t, err)
		}
		require.NoError(t, shared.installed.AwaitMetrics(afterwards(t)))
	})
}

// awaitLog waits until a component has logged a text.
func awaitLog(t *testing.T, component, text string) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		log, err := os.ReadFile(filepath.Join(shared.cluster.Logs(), component+".log"))
		require.NoError(c, err)
		require.Contains(c, string(log), text)
	}, eventually, poll)
}

func awaitNodeCount(t *testing.T, ksmScale *v1alpha1.KSMScale, nodes int) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.NoError(c, get(t, ksmScale))
		require.EqualValues(c, nodes, ksmScale.Status.NodeCount)
	}, eventually, poll)
}

func startController(t *testing.T, name string) {
	t.Helper()
	var err error
	shared.controller, err = shared.installed.StartController(afterwards(t), name)
	require.NoError(t, err)
}

func controllerLease() *coordinationv1.Lease {
	return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: installation.Namespace, Name: "ksmscale-controller"}}
}

func leaseHolder(t *testing.T) string {
	t.Helper()
	lease := controllerLease()
	require.NoError(t, get(t, lease))
	return *lease.Spec.HolderIdentity
}

// replicaWatch sees every number of replicas that Deployments are set to.
type replicaWatch struct {
	mu   sync.Mutex
	seen map[string][]int32
}

func watchReplicas(t *testing.T, ksmScale *v1alpha1.KSMScale) *replicaWatch {
	t.Helper()
	watched := &replicaWatch{seen: map[string][]int32{}}
	changes.Watch(t, shared.client, &appsv1.DeploymentList{}, func(_ watch.EventType, deployment *appsv1.Deployment) {
		if deployment.DeletionTimestamp == nil {
			watched.add(deployment.Name, *deployment.Spec.Replicas)
		}
	}, client.InNamespace(ksmScale.Spec.Namespace))
	return watched
}

func (w *replicaWatch) add(deployment string, replicas int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen[deployment] = append(w.seen[deployment], replicas)
}

// last has the last replicas of each Deployment.
func (w *replicaWatch) last() map[string]int32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	last := map[string]int32{}
	for deployment, seen := range w.seen {
		last[deployment] = seen[len(seen)-1]
	}
	return last
}

// falls are the Deployments whose replicas became fewer, with all they had.
func (w *replicaWatch) falls() map[string][]int32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	falls := map[string][]int32{}
	for deployment, seen := range w.seen {
		for i := 1; i < len(seen); i++ {
			if seen[i] < seen[i-1] {
				falls[deployment] = seen
			}
		}
	}
	return falls
}

func auditMark(t require.TestingT) int64 {
	mark, err := audit.Mark(shared.cluster.AuditLog())
	require.NoError(t, err)
	return mark
}

func auditSince(t require.TestingT, mark int64) []auditv1.Event {
	events, err := audit.Since(shared.cluster.AuditLog(), mark)
	require.NoError(t, err)
	return events
}

func uris(events []auditv1.Event) []string {
	var actual []string
	for _, event := range events {
		actual = append(actual, event.RequestURI)
	}
	return actual
}

func length(t *testing.T, list client.ObjectList) int {
	t.Helper()
	objects, err := meta.ExtractList(list)
	require.NoError(t, err)
	return len(objects)
}
