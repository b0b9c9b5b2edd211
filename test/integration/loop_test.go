package integration

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
)

// On nodes with room for one pod each, others' pods are on the first four. Nodes come for pods that wait for one.
func TestBesideAClusterAutoscaler(t *testing.T) {
	setNodes(t, 4)
	ksmScale := newKSMScale(func(k *v1alpha1.KSMScale) {
		k.Spec.NodesPerMonitor, k.Spec.Sharding = 4, nil
		k.Spec.Resources.Requests = fillsANode()
	})
	createNamespace(t, ksmScale.Spec.Namespace)
	createWorkload(t, ksmScale.Spec.Namespace, 4)
	create(t, ksmScale)

	awaitCondition(t, ksmScale, v1alpha1.ConditionSchedulable, metav1.ConditionFalse, v1alpha1.ReasonUnschedulable)
	// Neither another plan nor nodes that are no use to the pod raise the metric.
	update(t, ksmScale, func(k *v1alpha1.KSMScale) { k.Spec.NodesPerMonitor = 2 })
	createCordoned(t, "cordoned-0", "cordoned-1")
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.NoError(c, get(t, ksmScale))
		require.EqualValues(c, 3, ksmScale.Status.DesiredReplicas)
	}, eventually, poll)
	assert.EqualValues(t, 1, desired(t, ksmScale))
	condition := awaitCondition(t, ksmScale, v1alpha1.ConditionSchedulable, metav1.ConditionFalse, v1alpha1.ReasonUnschedulable)
	assert.Contains(t, condition.Message, "1 pod waits for a node; scale-up of shard 0 is paused at 1 of 3 replicas; the scheduler reports")
	assert.Contains(t, condition.Message, "Insufficient cpu")
	removeCordoned(t, "cordoned-0", "cordoned-1")

	settle := func(nodes, replicas int) {
		t.Helper()
		require.EventuallyWithT(t, func(c *assert.CollectT) {
			addNodes(t, ksmScale)
			state, err := shared.walker.Replicas(t.Context(), ksmScale)
			require.NoError(c, err)
			require.True(c, state.Agree(nodes, []int32{int32(replicas)}), "%+v", state)
		}, eventually, poll)
		addNodes(t, ksmScale)
		require.Equal(t, nodes, shared.nodes)
	}
	settle(8, 4)
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAsPlanned)

	// The status warns of the loop before it runs. It does not run while the shards do not scale.
	update(t, ksmScale, func(k *v1alpha1.KSMScale) { k.Spec.Autoscaling.Mode, k.Spec.NodesPerMonitor = v1alpha1.ModeNone, 1 })
	condition = awaitCondition(t, ksmScale, v1alpha1.ConditionSchedulable, metav1.ConditionTrue, v1alpha1.ReasonFeedbackLoop)
	assert.Contains(t, condition.Message, "would grow without end")
	update(t, ksmScale, func(k *v1alpha1.KSMScale) {
		k.Spec.Autoscaling.Mode = v1alpha1.ModeHorizontalPodAutoscaler
		k.Spec.Sharding = &v1alpha1.ShardingConfig{MinReplicasPerShard: 1, MaxReplicasPerShard: 6, ShardCount: 3}
	})
	settle(10, 6)
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAtMaximum)
}

// fillsANode is more than half of a fake node.
func fillsANode() corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("20")}
}

// desired is the metric of a KSMScale that has one shard.
func desired(t *testing.T, ksmScale *v1alpha1.KSMScale) int64 {
	t.Helper()
	response := getMetric(t, ksmScale.Spec.Namespace, v1alpha1.MetricDesiredReplicas, v1alpha1.MetricLabelKSMScale+"="+ksmScale.Name)
	require.Len(t, response.list.Items, 1, response.body)
	return response.list.Items[0].Value.Value()
}

// addNodes adds the nodes that pods wait for. A new node can go to another pod than the one it was added for, so pods are compared with nodes
// each time.
func addNodes(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	var pods corev1.PodList
	require.NoError(t, shared.client.List(t.Context(), &pods, client.InNamespace(ksmScale.Spec.Namespace)))
	needed := 0
	for _, pod := range pods.Items {
		waits := slices.ContainsFunc(pod.Status.Conditions, func(condition corev1.PodCondition) bool {
			return condition.Type == corev1.PodScheduled && condition.Reason == corev1.PodReasonUnschedulable
		})
		if pod.Spec.NodeName != "" || waits && pod.DeletionTimestamp == nil {
			needed++
		}
	}
	setNodes(t, max(shared.nodes, needed))
}

// createWorkload creates pods each of which fills a node, and waits until they are there.
func createWorkload(t *testing.T, namespace string, pods int32) {
	t.Helper()
	labels := map[string]string{"app": "workload"}
	workload := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "workload"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &pods,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{
					Name: "any", Image: "any", Resources: corev1.ResourceRequirements{Requests: fillsANode()},
				}}},
			},
		},
	}
	require.NoError(t, shared.client.Create(t.Context(), workload))
	t.Cleanup(func() { remove(t, workload) })
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.NoError(c, get(t, workload))
		require.Equal(c, pods, workload.Status.ReadyReplicas)
	}, eventually, poll)
}

func createCordoned(t *testing.T, nodeNames ...string) {
	t.Helper()
	for _, name := range nodeNames {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{Unschedulable: true}}
		require.NoError(t, shared.client.Create(t.Context(), node))
	}
	t.Cleanup(func() { removeCordoned(t, nodeNames...) })
}

func removeCordoned(t *testing.T, nodeNames ...string) {
	t.Helper()
	for _, name := range nodeNames {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
		require.NoError(t, client.IgnoreNotFound(shared.client.Delete(context.WithoutCancel(t.Context()), node)))
	}
}
