package integration

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/example/ksmscale/api/v1alpha1"
)

// Half of the nodes are cordoned. The objects of the cluster stay, and so do replicas, unless the KSMScale is configured
// otherwise. Another Deployment follows the number of nodes that a KSMScale counts.
func TestCordonedNodes(t *testing.T) {
	setNodes(t, 90)
	byDefault := create(t, newKSMScale())
	schedulable := create(t, newKSMScale(func(k *v1alpha1.KSMScale) { k.Spec.Nodes.SchedulableOnly = true }))
	awaitReplicas(t, byDefault, 2, 2, 2)
	awaitReplicas(t, schedulable, 2, 2, 2)
	follower := createFollower(t, schedulable)
	awaitFollower(t, follower, 6)
	watched := watchReplicas(t, byDefault)

	cordonHalf(t)
	_, err := shared.walker.Await(t.Context(), schedulable, 45, []int32{1, 1, 1}, eventually)
	require.NoError(t, err)
	awaitFollower(t, follower, 3)
	awaitReplicas(t, byDefault, 2, 2, 2)
	assert.Empty(t, watched.falls())
	for ksmScale, counted := range map[*v1alpha1.KSMScale]int32{byDefault: 90, schedulable: 45} {
		require.EventuallyWithT(t, func(c *assert.CollectT) {
			require.NoError(c, get(t, ksmScale))
			require.Equal(c, &v1alpha1.NodesStatus{Registered: 90, Schedulable: 45}, ksmScale.Status.Nodes)
			require.Equal(c, counted, ksmScale.Status.NodeCount)
		}, eventually, poll)
	}
}

// cordonHalf cordons every other node, until the test ends.
func cordonHalf(t *testing.T) {
	t.Helper()
	var nodes corev1.NodeList
	require.NoError(t, shared.client.List(t.Context(), &nodes))
	cordon := func(ctx context.Context, unschedulable string) {
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(16)
		for i := range len(nodes.Items) / 2 {
			group.Go(func() error {
				patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"unschedulable":`+unschedulable+`}}`))
				return client.IgnoreNotFound(shared.client.Patch(ctx, nodes.Items[2*i].DeepCopy(), patch))
			})
		}
		require.NoError(t, group.Wait())
	}
	cordon(t.Context(), "true")
	t.Cleanup(func() { cordon(afterwards(t), "false") })
}

// createFollower creates a Deployment, and the sample's HorizontalPodAutoscaler, with which it follows a KSMScale's nodes.
func createFollower(t *testing.T, ksmScale *v1alpha1.KSMScale) *appsv1.Deployment {
	t.Helper()
	autoscaler := &autoscalingv2.HorizontalPodAutoscaler{}
	sample, err := os.ReadFile("../../config/samples/follow-nodes.yaml")
	require.NoError(t, err)
	require.NoError(t, yaml.UnmarshalStrict(sample, autoscaler))
	autoscaler.Namespace = ksmScale.Spec.Namespace
	autoscaler.Spec.Metrics[0].External.Metric.Selector.MatchLabels[v1alpha1.MetricLabelKSMScale] = ksmScale.Name

	labels := map[string]string{"app": "cluster-agent"}
	deployment := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: ksmScale.Spec.Namespace, Name: autoscaler.Spec.ScaleTargetRef.Name},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "any", Image: "any"}}},
			},
		},
	}
	for _, object := range []client.Object{deployment, autoscaler} {
		require.NoError(t, shared.client.Create(t.Context(), object))
		t.Cleanup(func() { remove(t, object) })
	}
	return deployment
}

func awaitFollower(t *testing.T, deployment *appsv1.Deployment, replicas int32) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.NoError(c, get(t, deployment))
		require.Equal(c, replicas, deployment.Status.ReadyReplicas)
		require.Equal(c, replicas, *deployment.Spec.Replicas)
	}, eventually, poll)
}
