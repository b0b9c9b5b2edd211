package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/cluster"
	"github.com/example/ksmscale/test/cluster/audit"
)

// killPause is the time between two killings.
const killPause = 30 * time.Second

func version(tag string) func(*v1alpha1.KSMScaleSpec) {
	return func(spec *v1alpha1.KSMScaleSpec) { spec.MonitorImage = monitorRepository + ":" + tag }
}

func shards(count int32) func(*v1alpha1.KSMScaleSpec) {
	return func(spec *v1alpha1.KSMScaleSpec) {
		spec.Sharding.Enabled = count > 1
		spec.Sharding.ShardCount = max(count, 2)
	}
}

func replicas(minimum int32) func(*v1alpha1.KSMScaleSpec) {
	return func(spec *v1alpha1.KSMScaleSpec) { spec.Sharding.MinReplicasPerShard = minimum }
}

func args(extra ...string) func(*v1alpha1.KSMScaleSpec) {
	return func(spec *v1alpha1.KSMScaleSpec) { spec.Template = &v1alpha1.PodTemplate{ExtraArgs: extra} }
}

func both(first, second func(*v1alpha1.KSMScaleSpec)) func(*v1alpha1.KSMScaleSpec) {
	return func(spec *v1alpha1.KSMScaleSpec) {
		first(spec)
		second(spec)
	}
}

// change changes the spec and waits until the KSMScale is Ready again.
func change(spec func(*v1alpha1.KSMScaleSpec)) func(*testing.T, *v1alpha1.KSMScale) {
	return func(t *testing.T, ksmScale *v1alpha1.KSMScale) {
		t.Helper()
		update(t, ksmScale, spec)
		awaitReady(t, ksmScale)
	}
}

// untilSound checks that the controller knows the bugs of the running version before an event, from the version that the
// pods report, and that the version after the event has none.
func untilSound(happen func(*testing.T, *v1alpha1.KSMScale)) func(*testing.T, *v1alpha1.KSMScale) {
	return func(t *testing.T, ksmScale *v1alpha1.KSMScale) {
		t.Helper()
		awaitCondition(t, ksmScale, v1alpha1.ConditionVersionSupported, v1alpha1.ReasonKnownBugs)
		condition := meta.FindStatusCondition(ksmScale.Status.Conditions, v1alpha1.ConditionVersionSupported)
		assert.Equal(t, metav1.ConditionFalse, condition.Status)
		assert.Contains(t, condition.Message, "kube-state-metrics v2.18.0 has known bugs in sharding")
		assert.Contains(t, condition.Message, "kubernetes/kube-state-metrics#3065")
		happen(t, ksmScale)
		awaitCondition(t, ksmScale, v1alpha1.ConditionVersionSupported, v1alpha1.ReasonNoKnownBugs)
	}
}

func update(t *testing.T, ksmScale *v1alpha1.KSMScale, spec func(*v1alpha1.KSMScaleSpec)) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	require.NoError(t, retry.RetryOnConflict(retry.DefaultRetry, func() error {
		if err := shared.client.Get(ctx, client.ObjectKeyFromObject(ksmScale), ksmScale); err != nil {
			return err
		}
		spec(&ksmScale.Spec)
		return shared.client.Update(ctx, ksmScale)
	}))
}

// changeOfMind reshards to 5, back to 3 once one new shard is there, and to 4 after that.
func changeOfMind(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	for _, count := range []int32{5, 3} {
		update(t, ksmScale, shards(count))
		if count == 5 {
			awaitPartitions(t, ksmScale, 2)
		}
	}
	change(shards(4))(t, ksmScale)
}

// awaitPartitions waits until that many partitions run.
func awaitPartitions(t *testing.T, ksmScale *v1alpha1.KSMScale, count int) {
	t.Helper()
	await(t, fmt.Sprintf("%d partitions", count), func(ctx context.Context) error {
		if err := shared.client.Get(ctx, client.ObjectKeyFromObject(ksmScale), ksmScale); err != nil {
			return err
		}
		if there := ksmScale.Status.ShardingStatus.Partitions; len(there) != count {
			return fmt.Errorf("there are %v", there)
		}
		return nil
	})
}

// scaleUpAndDown adds nodes until each shard has three replicas, and takes them away again.
func scaleUpAndDown(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	needsLocal(t)
	t.Cleanup(func() { require.NoError(t, shared.cluster.SetNodes(context.Background(), 0)) })
	for _, nodes := range []struct{ fake, pods int32 }{{7, 9}, {0, 3}} {
		require.NoError(t, shared.cluster.SetNodes(t.Context(), int(nodes.fake)))
		await(t, fmt.Sprintf("%d pods", nodes.pods), func(ctx context.Context) error {
			if err := shared.client.Get(ctx, client.ObjectKeyFromObject(ksmScale), ksmScale); err != nil {
				return err
			}
			if current := ksmScale.Status; current.CurrentReplicas != nodes.pods || current.Phase != v1alpha1.PhaseReady {
				return fmt.Errorf("%d pods of %d wanted, %s", current.CurrentReplicas, current.DesiredReplicas, current.Phase)
			}
			return nil
		})
		awaitReady(t, ksmScale)
	}
}

// drainNode drains the node that the auditor is not on.
func drainNode(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	node := otherNode(t, auditorNode(t))
	t.Cleanup(func() { kubectl(t, "uncordon", node) })
	kubectl(t, "drain", node, "--ignore-daemonsets", "--timeout=5m")
	awaitReady(t, ksmScale)
	for _, pod := range shardPods(t, ksmScale) {
		require.NotEqual(t, node, pod.Spec.NodeName)
	}
}

// rolloutAndRestart restarts the API server in the middle of a rollout.
func rolloutAndRestart(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	needsLocal(t)
	beginRollout(t, ksmScale)
	require.NoError(t, shared.cluster.APIServers()[0].Restart(t.Context()))
	awaitReady(t, ksmScale)
}

// addAPIServer has a second API server until the end of the test.
func addAPIServer(t *testing.T) {
	t.Helper()
	needsLocal(t)
	added, err := shared.cluster.AddAPIServer(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
		defer cancel()
		assert.NoError(t, added.Stop(ctx))
	})
}

// rolloutAndRestartOne restarts, in the middle of a rollout, that one of two API servers which more of the pods watch.
func rolloutAndRestartOne(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	var most *cluster.Server
	watchers := 0
	for _, server := range shared.cluster.APIServers() {
		if count := watchersOf(t, server, ksmScale); count > watchers {
			most, watchers = server, count
		}
	}
	require.NotNil(t, most, "no API server is watched")
	beginRollout(t, ksmScale)
	t.Logf("restarting the API server that %d pods watch, whose log is %s", watchers, most.AuditLog())
	require.NoError(t, most.Restart(t.Context()))
	awaitReady(t, ksmScale)
}

// watchersOf is how many pods of shards have begun to watch an API server.
func watchersOf(t *testing.T, server *cluster.Server, ksmScale *v1alpha1.KSMScale) int {
	t.Helper()
	addresses := sets.New[string]()
	for _, pod := range shardPods(t, ksmScale) {
		addresses.Insert(pod.Status.PodIP)
	}
	events, err := audit.Read(server.AuditLog())
	require.NoError(t, err)
	watching := sets.New[string]()
	for _, one := range events {
		if one.Verb == "watch" && one.ObjectRef.Resource == "configmaps" && strings.HasPrefix(one.UserAgent, "kube-state-metrics/") {
			watching.Insert(one.SourceIPs...)
		}
	}
	return addresses.Intersection(watching).Len()
}

func beginRollout(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	update(t, ksmScale, args("--metric-labels-allowlist=pods=[app]"))
	await(t, "a new pod", func(context.Context) error {
		if count := len(shardPods(t, ksmScale)); count <= 3 {
			return fmt.Errorf("there are %d pods", count)
		}
		return nil
	})
}

func deletePod(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	before := shardPods(t, ksmScale)
	require.NoError(t, shared.client.Delete(t.Context(), &before[0], client.GracePeriodSeconds(0)))
	awaitInstead(t, ksmScale, before[0], len(before))
}

// awaitInstead waits until that many pods are ready without one that has been deleted.
func awaitInstead(t *testing.T, ksmScale *v1alpha1.KSMScale, deleted corev1.Pod, count int) {
	t.Helper()
	await(t, "another pod to be ready instead", func(context.Context) error {
		ready := 0
		for _, pod := range shardPods(t, ksmScale) {
			if pod.UID != deleted.UID && readiness(pod).Status == corev1.ConditionTrue {
				ready++
			}
		}
		if ready < count {
			return fmt.Errorf("%d of %d pods are ready", ready, count)
		}
		return nil
	})
	awaitReady(t, ksmScale)
}

// killContainer kills kube-state-metrics of one pod with SIGKILL.
func killContainer(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	killContainerOf(t, shardPods(t, ksmScale)[0], "kube-state-metrics")
	awaitReady(t, ksmScale)
}

// killGate kills the gate of one pod with SIGKILL. The kubelet counts the pod as unready while the container does not run.
// The gate adds no time, because it opens immediately.
func killGate(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	pod := shardPods(t, ksmScale)[0]
	killContainerOf(t, pod, "gate")
	await(t, "the gate to be open", func(context.Context) error {
		if gateMetrics(t, pod)["ksmscale_gate_open"].GetMetric()[0].GetGauge().GetValue() == 0 {
			return errors.New("it is not")
		}
		return nil
	})
	assert.Zero(t, gateMetrics(t, pod)["ksmscale_gate_sync_duration_seconds"].GetMetric()[0].GetGauge().GetValue(), "it has waited for what it knew")
	awaitReady(t, ksmScale)
}

// killContainerOf kills a container of a pod, which runs a program of the same name, with SIGKILL, and waits until it is ready again.
func killContainerOf(t *testing.T, pod corev1.Pod, containerName string) {
	t.Helper()
	needsLocal(t)
	require.NoError(t, syscall.Kill(processOf(t, pod, containerName), syscall.SIGKILL))
	await(t, "the container to start again", func(ctx context.Context) error {
		if err := shared.client.Get(ctx, client.ObjectKeyFromObject(&pod), &pod); err != nil {
			return err
		}
		for _, current := range pod.Status.ContainerStatuses {
			if current.Name == containerName && current.RestartCount > 0 && current.Ready {
				return nil
			}
		}
		return errors.New("it has not started again, or is not ready")
	})
}

// withStandby runs a second controller during an event, like a user whose controllers die. Starting a new one takes as
// long as the time between two kills.
func withStandby(happen func(*testing.T, *v1alpha1.KSMScale)) func(*testing.T, *v1alpha1.KSMScale) {
	return func(t *testing.T, ksmScale *v1alpha1.KSMScale) {
		t.Helper()
		scaleController(t, 2)
		t.Cleanup(func() { scaleController(t, 1) })
		awaitAvailable(t, systemNamespace, "ksmscale-controller")
		happen(t, ksmScale)
	}
}

func scaleController(t *testing.T, replicaCount int) {
	t.Helper()
	scaleSystem(t, controllerName, replicaCount)
}

// scaleSystem scales a Deployment of KSMScale itself.
func scaleSystem(t *testing.T, name string, replicaCount int) {
	t.Helper()
	patch := fmt.Sprintf(`{"spec":{"replicas":%d}}`, replicaCount)
	_, err := shared.clientset.AppsV1().Deployments(systemNamespace).Patch(context.WithoutCancel(t.Context()),
		name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	require.NoError(t, err)
}

// leader is the name of the controller's pod that leads.
func leader(ctx context.Context) (string, error) {
	lease, err := shared.clientset.CoordinationV1().Leases(systemNamespace).Get(ctx, v1alpha1.ControllerLeaseName, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	if lease.Spec.HolderIdentity == nil {
		return "", errors.New("no controller leads")
	}
	name, _, _ := strings.Cut(*lease.Spec.HolderIdentity, "_")
	return name, nil
}

// killController kills the controller that leads.
func killController(ctx context.Context) error {
	name, err := leader(ctx)
	if err != nil {
		return err
	}
	return kill(ctx, "controller", func(pod corev1.Pod) bool { return pod.Name == name })
}

// killAdapter kills all adapters together.
func killAdapter(ctx context.Context) error {
	return kill(ctx, "adapter", func(corev1.Pod) bool { return true })
}

// kill kills pods of a component. Their processes get no chance to clean up where that can be done.
func kill(ctx context.Context, component string, which func(corev1.Pod) bool) error {
	var list corev1.PodList
	if err := shared.client.List(ctx, &list, client.InNamespace(systemNamespace), client.MatchingLabels{"app.kubernetes.io/component": component}); err != nil {
		return err
	}
	for _, pod := range list.Items {
		if pod.DeletionTimestamp != nil || pod.Status.Phase != corev1.PodRunning || !which(pod) {
			continue
		}
		if shared.cluster != nil {
			if process := findProcess(pod, component); process != 0 {
				_ = syscall.Kill(process, syscall.SIGKILL)
			}
		}
		if err := client.IgnoreNotFound(shared.client.Delete(ctx, &pod, client.GracePeriodSeconds(0))); err != nil {
			return err
		}
	}
	return nil
}

// interrupt calls a function every killPause, the first time soon. It stops when the returned function is called or the
// test ends. times limits the number of calls, if it is not 0.
func interrupt(t *testing.T, meanwhile func(context.Context) error, times int) (stop func()) {
	t.Helper()
	if meanwhile == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		timer := time.NewTimer(killPause / 6)
		defer timer.Stop()
		for called := 0; times == 0 || called < times; called++ {
			select {
			case <-ctx.Done():
				ended <- nil
				return
			case <-timer.C:
			}
			if err := meanwhile(ctx); err != nil && ctx.Err() == nil {
				ended <- err
				return
			}
			timer.Reset(killPause)
		}
		ended <- nil
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		assert.NoError(t, <-ended)
	})
	t.Cleanup(stop)
	return stop
}

func shardPods(t *testing.T, ksmScale *v1alpha1.KSMScale) []corev1.Pod {
	t.Helper()
	return pods(t, monitoringNamespace, v1alpha1.LabelKSMScale+"="+ksmScale.Name)
}

func processOf(t *testing.T, pod corev1.Pod, program string) int {
	t.Helper()
	process := findProcess(pod, program)
	require.NotZero(t, process, "no process of %s in pod %s", program, pod.Name)
	return process
}

// findProcess finds a program of a pod of a local node by its host name; 0 without such a program.
func findProcess(pod corev1.Pod, program string) int {
	commands, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range commands {
		command, err := os.ReadFile(file)
		name, _, _ := bytes.Cut(command, []byte{0})
		if err != nil || filepath.Base(string(name)) != program {
			continue
		}
		environment, err := os.ReadFile(filepath.Join(filepath.Dir(file), "environ"))
		if err != nil || !strings.Contains("\x00"+string(environment), "\x00HOSTNAME="+pod.Name+"\x00") {
			continue
		}
		var process int
		if _, err := fmt.Sscanf(filepath.Base(filepath.Dir(file)), "%d", &process); err == nil {
			return process
		}
	}
	return 0
}

func otherNode(t *testing.T, than string) string {
	t.Helper()
	nodes, err := shared.clientset.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	for _, node := range nodes.Items {
		_, fake := node.Annotations["kwok.x-k8s.io/node"]
		_, control := node.Labels["node-role.kubernetes.io/control-plane"]
		if node.Name != than && !fake && !control {
			return node.Name
		}
	}
	t.Fatal("there is no second node")
	return ""
}
