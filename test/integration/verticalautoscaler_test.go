package integration

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/example/ksmscale/api/v1alpha1"
)

// A VerticalPodAutoscaler that resizes the pods of a shard is a warning, from the moment that its kind is installed, until it only
// recommends or its kind is removed. The controller needs no restart, and no right where the kind does not exist.
func TestVerticalPodAutoscaler(t *testing.T) {
	leaveRunning(t)
	setNodes(t, 10)
	restore := forbid(t, schema.GroupResource{Group: "autoscaling.k8s.io", Resource: "verticalpodautoscalers"}, "list")
	ksmScale := create(t, newKSMScale(func(k *v1alpha1.KSMScale) { k.Spec.AutoResources = &v1alpha1.AutoResources{} }))
	awaitCondition(t, ksmScale, v1alpha1.ConditionSized, metav1.ConditionTrue, v1alpha1.ReasonFollowingUsage)
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAtMinimum)

	installVerticalPodAutoscalers(t)
	awaitCondition(t, ksmScale, v1alpha1.ConditionSized, metav1.ConditionTrue, v1alpha1.ReasonFollowingUsage)
	restore()
	deployment := shardOf(ksmScale, 1).Name()
	autoscaler := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "autoscaling.k8s.io/v1", "kind": "VerticalPodAutoscaler",
		"metadata": map[string]any{"namespace": ksmScale.Spec.Namespace, "name": "foreign"},
		"spec":     map[string]any{"targetRef": map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment}},
	}}
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.NoError(c, shared.client.Create(t.Context(), autoscaler.DeepCopy()), "the kind is discovered after a while")
	}, eventually, poll)
	condition := awaitCondition(t, ksmScale, v1alpha1.ConditionSized, metav1.ConditionFalse, v1alpha1.ReasonForeignVerticalPodAutoscaler)
	assert.Contains(t, condition.Message, "VerticalPodAutoscaler foreign changes the resources of the pods of Deployment "+deployment)
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAtMinimum)

	update(t, ksmScale, func(k *v1alpha1.KSMScale) { k.Spec.AutoResources = nil })
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.NoError(c, get(t, ksmScale))
		assert.Nil(c, meta.FindStatusCondition(ksmScale.Status.Conditions, v1alpha1.ConditionSized), "the resources are left to it")
	}, eventually, poll)
	update(t, ksmScale, func(k *v1alpha1.KSMScale) { k.Spec.AutoResources = &v1alpha1.AutoResources{} })
	awaitCondition(t, ksmScale, v1alpha1.ConditionSized, metav1.ConditionFalse, v1alpha1.ReasonForeignVerticalPodAutoscaler)

	require.NoError(t, get(t, autoscaler))
	require.NoError(t, unstructured.SetNestedField(autoscaler.Object, "Off", "spec", "updatePolicy", "updateMode"))
	require.NoError(t, shared.client.Update(t.Context(), autoscaler))
	awaitCondition(t, ksmScale, v1alpha1.ConditionSized, metav1.ConditionTrue, v1alpha1.ReasonFollowingUsage)
	unstructured.RemoveNestedField(autoscaler.Object, "spec", "updatePolicy")
	require.NoError(t, shared.client.Update(t.Context(), autoscaler))
	awaitCondition(t, ksmScale, v1alpha1.ConditionSized, metav1.ConditionFalse, v1alpha1.ReasonForeignVerticalPodAutoscaler)
	uninstallVerticalPodAutoscalers(t)
	awaitCondition(t, ksmScale, v1alpha1.ConditionSized, metav1.ConditionTrue, v1alpha1.ReasonFollowingUsage)
}

const verticalPodAutoscalers = "testdata/verticalpodautoscalers.yaml"

// installVerticalPodAutoscalers installs their CustomResourceDefinition until the test ends.
func installVerticalPodAutoscalers(t *testing.T) {
	t.Helper()
	_, err := shared.installed.Kubectl(t.Context(), "apply", "--server-side", "-f", verticalPodAutoscalers)
	require.NoError(t, err)
	t.Cleanup(func() { uninstallVerticalPodAutoscalers(t) })
}

func uninstallVerticalPodAutoscalers(t *testing.T) {
	t.Helper()
	_, err := shared.installed.Kubectl(afterwards(t), "delete", "--ignore-not-found", "-f", verticalPodAutoscalers)
	require.NoError(t, err)
}
