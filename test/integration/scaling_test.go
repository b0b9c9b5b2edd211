package integration

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

// The walk of the demo, by several KSMScales together, each in a separate namespace.
func TestReplicasFollowNodes(t *testing.T) {
	setNodes(t, 10)
	plain := create(t, newKSMScale())
	atLeastTwo := create(t, newKSMScale(func(k *v1alpha1.KSMScale) { k.Spec.Sharding.MinReplicasPerShard = 2 }))
	atMostTwo := create(t, newKSMScale(func(k *v1alpha1.KSMScale) {
		k.Spec.Sharding.MaxReplicasPerShard = 2
		patient := *k.Spec.Autoscaling.Behavior.ScaleDown
		patient.StabilizationWindowSeconds = new(int32(45)) // long enough to be seen on a slow machine
		k.Spec.Autoscaling.Behavior.ScaleDown = &patient
	}))
	unsharded := create(t, newKSMScale(func(k *v1alpha1.KSMScale) { k.Spec.Sharding = nil }))

	for _, step := range []struct {
		nodes                                   int
		plain, atLeastTwo, atMostTwo, unsharded []int32
	}{
		{10, []int32{1, 1, 1}, []int32{2, 2, 2}, []int32{1, 1, 1}, []int32{1}},
		{45, []int32{1, 1, 1}, []int32{2, 2, 2}, []int32{1, 1, 1}, []int32{3}},
		{60, []int32{2, 1, 1}, []int32{2, 2, 2}, []int32{2, 1, 1}, []int32{4}},
		{75, []int32{2, 2, 1}, []int32{2, 2, 2}, []int32{2, 2, 1}, []int32{5}},
		{90, []int32{2, 2, 2}, []int32{2, 2, 2}, []int32{2, 2, 2}, []int32{6}},
		{300, []int32{7, 7, 6}, []int32{7, 7, 6}, []int32{2, 2, 2}, []int32{20}},
		{45, []int32{1, 1, 1}, []int32{2, 2, 2}, []int32{1, 1, 1}, []int32{3}},
	} {
		t.Run(strconv.Itoa(step.nodes)+" nodes", func(t *testing.T) {
			falling := step.nodes < shared.nodes
			setNodes(t, step.nodes)
			if falling && step.nodes == 45 {
				awaitScaleDown(t, atMostTwo, step.atMostTwo...)
			}
			awaitReplicas(t, plain, step.plain...)
			awaitReplicas(t, atLeastTwo, step.atLeastTwo...)
			awaitReplicas(t, atMostTwo, step.atMostTwo...)
			awaitReplicas(t, unsharded, step.unsharded...)
		})
	}

	awaitCondition(t, plain, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAsPlanned)
	assert.Equal(t, v1alpha1.PhaseReady, plain.Status.Phase)
	assert.EqualValues(t, 45, plain.Status.NodeCount)
	assert.EqualValues(t, 3, plain.Status.DesiredReplicas)
	assert.EqualValues(t, 3, plain.Status.CurrentReplicas)
	require.Len(t, plain.Status.ShardingStatus.ShardDistribution, 3)
	for id, shard := range plain.Status.ShardingStatus.ShardDistribution {
		assert.EqualValues(t, 1, shard.Replicas, "shard %s", id)
		assert.EqualValues(t, 1, shard.Ready, "shard %s", id)
		assert.Len(t, shard.Pods, 1, "shard %s", id)
	}
	seeColumns(t, plain)
	bounded := awaitCondition(t, atLeastTwo, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAtMinimum)
	assert.Contains(t, bounded.Message, "3 replicas calculated")

	for _, other := range []*v1alpha1.KSMScale{plain, atLeastTwo} {
		for _, namespace := range []string{atMostTwo.Spec.Namespace, "default"} {
			assert.EqualValues(t, 404, getMetric(t, namespace, v1alpha1.MetricDesiredReplicas, v1alpha1.MetricLabelKSMScale+"="+other.Name).code,
				"a KSMScale is invisible in another namespace")
		}
	}
}

// awaitScaleDown waits until a KSMScale has fewer pods, which its autoscalers remove after their stabilization window. It is Ready meanwhile.
func awaitScaleDown(t *testing.T, ksmScale *v1alpha1.KSMScale, expected ...int32) {
	t.Helper()
	ready := awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonScaleDownPending)
	assert.Equal(t, v1alpha1.PhaseScaling, ksmScale.Status.Phase)
	runCommands(t, "kubectl wait ksmscale "+ksmScale.Name+" --for=condition=Ready --timeout=10s", "kubectl get ksmscales -o wide")
	stated := regexp.MustCompile(`not before (\S+),`).FindStringSubmatch(ready.Message)
	require.NotNil(t, stated, ready.Message)
	notBefore, err := time.Parse(time.RFC3339, stated[1])
	require.NoError(t, err)
	awaitReplicas(t, ksmScale, expected...)
	assert.False(t, time.Now().Before(notBefore), "not before %s", notBefore)
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAsPlanned)
	awaitEvent(t, ksmScale, corev1.EventTypeNormal, v1alpha1.ReasonScaleDownPending)
}

// seeColumns looks at what kubectl get prints about a KSMScale of three shards that is Ready with 45 nodes.
func seeColumns(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	columns := func(flags string) (header, row []string) {
		lines := strings.Split(strings.TrimSpace(runCommands(t, "kubectl get ksmscale "+ksmScale.Name+flags)), "\n")
		require.Len(t, lines, 2)
		header, row = strings.Fields(lines[0]), strings.Fields(lines[1])
		// This cell is empty, because no gate has counted.
		header = slices.DeleteFunc(header, func(column string) bool { return column == "MISSING" })
		require.Len(t, row, len(header))
		return header[:len(header)-1], row[:len(row)-1]
	}
	header, row := columns("")
	assert.Equal(t, []string{"NAME", "PHASE", "READY", "NODES", "DESIRED", "SHARDS", "REASON"}, header)
	assert.Equal(t, []string{ksmScale.Name, "Ready", "3/3", "45", "3", "3", "AsPlanned"}, row)
	header, row = columns(" -o wide")
	assert.Subset(t, header, []string{"MODE", "MIN", "MAX", "VERSION"})
	at := slices.Index(header, "MODE")
	assert.Equal(t, []string{"HorizontalPodAutoscaler", "1", "0", "v2.20.0"}, row[at:at+4])
}

// From 10 replicas up the default tolerance of a HorizontalPodAutoscaler swallows a step of one replica.
func TestOneNodeIsOneReplica(t *testing.T) {
	setNodes(t, 39)
	ksmScale := create(t, newKSMScale(func(k *v1alpha1.KSMScale) { k.Spec.NodesPerMonitor = 1 }))
	awaitReplicas(t, ksmScale, 13, 13, 13)
	tolerant := createTolerantAutoscaler(t, ksmScale)
	awaitTolerant(t, tolerant, "1", 13)

	setNodes(t, 40)
	awaitReplicas(t, ksmScale, 14, 13, 13)
	awaitTolerant(t, tolerant, "1077m", 13)

	setNodes(t, 39)
	awaitReplicas(t, ksmScale, 13, 13, 13)
	setNodes(t, 36)
	awaitReplicas(t, ksmScale, 12, 12, 12)
	awaitTolerant(t, tolerant, "924m", 13)
}

// createTolerantAutoscaler creates a Deployment that follows shard 0 as HorizontalPodAutoscalers do by default.
func createTolerantAutoscaler(t *testing.T, ksmScale *v1alpha1.KSMScale) *autoscalingv2.HorizontalPodAutoscaler {
	t.Helper()
	labels := map[string]string{"app": "tolerant"}
	deployment := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: ksmScale.Spec.Namespace, Name: "tolerant"},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(13)),
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					// Within its tolerance an autoscaler keeps the current replicas, so the test must not remove a replica
					// with a node.
					NodeSelector: map[string]string{corev1.LabelHostname: "fake-node-00000"},
					Containers:   []corev1.Container{{Name: "any", Image: "any"}},
				},
			},
		},
	}
	autoscaler := &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: deployment.ObjectMeta,
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: deployment.Name},
			MaxReplicas:    100,
			Metrics: []autoscalingv2.MetricSpec{{
				Type: autoscalingv2.ExternalMetricSourceType,
				External: &autoscalingv2.ExternalMetricSource{
					Metric: autoscalingv2.MetricIdentifier{
						Name:     v1alpha1.MetricDesiredReplicas,
						Selector: &metav1.LabelSelector{MatchLabels: shardOf(ksmScale, 0).MetricLabels()},
					},
					Target: autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: new(resource.MustParse("1"))},
				},
			}},
		},
	}
	require.NoError(t, shared.client.Create(t.Context(), deployment))
	require.NoError(t, shared.client.Create(t.Context(), autoscaler))
	t.Cleanup(func() {
		remove(t, autoscaler)
		remove(t, deployment)
	})
	return autoscaler
}

// awaitTolerant waits until the autoscaler has read a value per replica, and checks that it keeps the replicas.
func awaitTolerant(t *testing.T, autoscaler *autoscalingv2.HorizontalPodAutoscaler, value string, replicas int32) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.NoError(c, get(t, autoscaler))
		require.Len(c, autoscaler.Status.CurrentMetrics, 1)
		require.NotNil(c, autoscaler.Status.CurrentMetrics[0].External)
		require.Equal(c, value, autoscaler.Status.CurrentMetrics[0].External.Current.AverageValue.String())
	}, eventually, poll)
	assert.Equal(t, replicas, autoscaler.Status.DesiredReplicas)
}
