package integration

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
)

// createStranger creates a pod with the labels of a shard, and without an owner.
func createStranger(t *testing.T, shard v1alpha1.Shard, namespace string, overrides ...func(*corev1.Pod)) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "stranger-", Labels: shard.Selector()},
		Spec: corev1.PodSpec{
			Containers:  []corev1.Container{{Name: "kube-state-metrics", Image: "stranger"}},
			Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
		},
	}
	for _, override := range overrides {
		override(pod)
	}
	require.NoError(t, shared.client.Create(t.Context(), pod))
	return pod
}

// awaitPodCondition waits until a pod has a condition, and the controller has looked at its KSMScale since.
func awaitPodCondition(t *testing.T, ksmScale *v1alpha1.KSMScale, pod *corev1.Pod, conditionType corev1.PodConditionType, status corev1.ConditionStatus) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.NoError(c, get(t, pod))
		statuses := map[corev1.PodConditionType]corev1.ConditionStatus{}
		for _, condition := range pod.Status.Conditions {
			statuses[condition.Type] = condition.Status
		}
		require.Equal(c, status, statuses[conditionType])
	}, eventually, poll)
	lookAgain(t, ksmScale)
}

// Pods that only look like the pods of a shard let no partition take over, and pause no scale-up.
func TestPodsOfStrangersDoNotCount(t *testing.T) {
	setNodes(t, 45)
	ksmScale := create(t, newKSMScale())
	awaitReplicas(t, ksmScale, 1, 1, 1)
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAsPlanned)
	nowhere := func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"disk": "ssd"} }

	t.Run("one that waits for a node", func(t *testing.T) {
		pod := createStranger(t, shardOf(ksmScale, 0), ksmScale.Spec.Namespace, nowhere)
		awaitPodCondition(t, ksmScale, pod, corev1.PodScheduled, corev1.ConditionFalse)
		awaitCondition(t, ksmScale, v1alpha1.ConditionSchedulable, metav1.ConditionTrue, v1alpha1.ReasonAllPodsScheduled)
		assert.Empty(t, ksmScale.Status.ShardingStatus.ScaleUpPaused)
		assert.EqualValues(t, 1, ksmScale.Status.ShardingStatus.ShardDistribution["0"].Replicas)
		remove(t, pod)
	})
	t.Run("one with an owner that does not exist", func(t *testing.T) {
		pod := createStranger(t, shardOf(ksmScale, 0), ksmScale.Spec.Namespace, func(p *corev1.Pod) {
			var sets appsv1.ReplicaSetList
			require.NoError(t, shared.client.List(t.Context(), &sets, client.InNamespace(p.Namespace), client.MatchingLabels(p.Labels)))
			require.NotEmpty(t, sets.Items)
			p.Labels = maps.Clone(sets.Items[0].Labels)
			p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: sets.Items[0].Name, UID: "forged", Controller: new(true)}}
		})
		require.EventuallyWithT(t, func(c *assert.CollectT) {
			require.True(c, apierrors.IsNotFound(get(t, pod)), "the garbage collector deletes it")
		}, eventually, poll)
	})
	t.Run("ready ones of another partition", func(t *testing.T) {
		update(t, ksmScale, func(k *v1alpha1.KSMScale) {
			k.Spec.Sharding.ShardCount = 2
			k.Spec.Template = &v1alpha1.PodTemplate{NodeSelector: map[string]v1alpha1.LabelValue{"disk": "ssd"}}
		})
		for id := range int32(2) {
			awaitPodCondition(t, ksmScale, createStranger(t, shardOf(ksmScale, id), ksmScale.Spec.Namespace), corev1.PodReady, corev1.ConditionTrue)
		}
		condition := awaitCondition(t, ksmScale, v1alpha1.ConditionProgressing, metav1.ConditionTrue, v1alpha1.ReasonResharding)
		assert.Contains(t, condition.Message, "wait for shard 0 of 2 to have 1 ready pod (now 0)")
		assert.Equal(t, []int32{2, 3}, ksmScale.Status.ShardingStatus.Partitions)
		awaitDeployments(t, ksmScale, 4)

		update(t, ksmScale, func(k *v1alpha1.KSMScale) { k.Spec.Template = nil })
		awaitDeployments(t, ksmScale, 2)
	})
}

// A second PodDisruptionBudget prevents the eviction of pods, and the status names it.
func TestSecondPodDisruptionBudget(t *testing.T) {
	setNodes(t, 10)
	ksmScale := create(t, newKSMScale())
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAtMinimum)
	awaitCondition(t, ksmScale, v1alpha1.ConditionEvictable, metav1.ConditionTrue, v1alpha1.ReasonSinglePodDisruptionBudget)
	second := &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: ksmScale.Spec.Namespace, Name: "second"},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MaxUnavailable: new(intstr.FromInt32(1)),
			Selector:       &metav1.LabelSelector{MatchLabels: map[string]string{"app.kubernetes.io/name": "kube-state-metrics"}},
		},
	}
	require.NoError(t, shared.client.Create(t.Context(), second))
	condition := awaitCondition(t, ksmScale, v1alpha1.ConditionEvictable, metav1.ConditionFalse, v1alpha1.ReasonMultiplePodDisruptionBudgets)
	assert.Contains(t, condition.Message, "PodDisruptionBudget second selects the pods of Deployment "+shardOf(ksmScale, 0).Name())
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAtMinimum)
	require.ErrorContains(t, evictShard(t, ksmScale), "more than one PodDisruptionBudget")

	remove(t, second)
	awaitCondition(t, ksmScale, v1alpha1.ConditionEvictable, metav1.ConditionTrue, v1alpha1.ReasonSinglePodDisruptionBudget)
	require.EventuallyWithT(t, func(c *assert.CollectT) { require.NoError(c, evictShard(t, ksmScale)) }, eventually, poll)
}

// evictShard evicts a pod of the first shard, like a drain.
func evictShard(t *testing.T, ksmScale *v1alpha1.KSMScale) error {
	t.Helper()
	var pods corev1.PodList
	require.NoError(t, shared.client.List(t.Context(), &pods, client.InNamespace(ksmScale.Spec.Namespace), client.MatchingLabels(shardOf(ksmScale, 0).Selector())))
	require.NotEmpty(t, pods.Items)
	pod := &pods.Items[0]
	return shared.client.SubResource("eviction").Create(t.Context(), pod, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}})
}
