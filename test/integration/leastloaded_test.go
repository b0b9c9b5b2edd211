package integration

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
)

// KWOK's pods use no CPU and have no metrics, so the test records a measurement itself.
func TestLeastLoaded(t *testing.T) {
	setNodes(t, 90)
	ksmScale := create(t, newKSMScale(func(k *v1alpha1.KSMScale) { k.Spec.Sharding.ReplicationStrategy = v1alpha1.LeastLoaded }))
	awaitReplicas(t, ksmScale, 2, 2, 2)
	awaitCondition(t, ksmScale, v1alpha1.ConditionAutoscaling, metav1.ConditionTrue, v1alpha1.ReasonLoadNotMeasured)
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAsPlanned)

	patch := client.RawPatch("application/merge-patch+json",
		[]byte(`{"status":{"shardingStatus":{"weights":[{"totalShards":3,"weights":[6,18,6]}]}}}`))
	require.NoError(t, shared.client.Status().Patch(t.Context(), ksmScale, patch))
	awaitReplicas(t, ksmScale, 1, 4, 1)
	awaitCondition(t, ksmScale, v1alpha1.ConditionAutoscaling, metav1.ConditionTrue, v1alpha1.ReasonLeastLoaded)
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAsPlanned)
	assert.Equal(t, []int32{6, 18, 6}, ksmScale.Status.WeightsOf(3), "what was measured is kept")

	update(t, ksmScale, func(k *v1alpha1.KSMScale) { k.Spec.Sharding.ReplicationStrategy = v1alpha1.RoundRobin })
	awaitReplicas(t, ksmScale, 2, 2, 2)
	awaitCondition(t, ksmScale, v1alpha1.ConditionAutoscaling, metav1.ConditionTrue, v1alpha1.ReasonFollowingNodes)
	assert.Empty(t, ksmScale.Status.ShardingStatus.Weights)
}
