package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	autoscalingv2ac "k8s.io/client-go/applyconfigurations/autoscaling/v2"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	policyv1ac "k8s.io/client-go/applyconfigurations/policy/v1"
	rbacv1ac "k8s.io/client-go/applyconfigurations/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/cluster/audit"
)

// foreignAutoscaler is a HorizontalPodAutoscaler of someone else, which scales shard 0 to 3 replicas.
func foreignAutoscaler(ksmScale *v1alpha1.KSMScale) *autoscalingv2.HorizontalPodAutoscaler {
	return &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: ksmScale.Spec.Namespace, Name: "foreign"},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: shardOf(ksmScale, 0).Name()},
			MinReplicas:    new(int32(3)), MaxReplicas: 3,
		},
	}
}

// A foreign HorizontalPodAutoscaler of a shard is reported and not changed. In mode None it is expected.
func TestForeignAutoscaler(t *testing.T) {
	setNodes(t, 45)
	ksmScale := create(t, newKSMScale(func(k *v1alpha1.KSMScale) { k.Spec.Autoscaling.Mode = v1alpha1.ModeDirect }))
	awaitDeployed(t, ksmScale, 1, 1, 1)
	foreign := foreignAutoscaler(ksmScale)
	require.NoError(t, shared.client.Create(t.Context(), foreign))
	t.Cleanup(func() { remove(t, foreign) })
	condition := awaitCondition(t, ksmScale, v1alpha1.ConditionAutoscaling, metav1.ConditionFalse, v1alpha1.ReasonForeignAutoscaler)
	assert.Contains(t, condition.Message, "HorizontalPodAutoscaler foreign scales Deployment "+shardOf(ksmScale, 0).Name()+" as well")
	awaitEvent(t, ksmScale, corev1.EventTypeWarning, v1alpha1.ReasonForeignAutoscaler)
	awaitDeployed(t, ksmScale, 3, 1, 1)
	mark := auditMark(t)
	setNodes(t, 90)
	awaitDeployed(t, ksmScale, 3, 2, 2)
	for _, write := range audit.Writes(auditSince(t, mark), controllerUser) {
		assert.NotEqual(t, shardOf(ksmScale, 0).Name(), write.ObjectRef.Name, "the shard is left to it")
	}

	update(t, ksmScale, func(k *v1alpha1.KSMScale) { k.Spec.Autoscaling.Mode = v1alpha1.ModeNone })
	condition = awaitCondition(t, ksmScale, v1alpha1.ConditionAutoscaling, metav1.ConditionTrue, v1alpha1.ReasonManualScaling)
	assert.Contains(t, condition.Message, "HorizontalPodAutoscaler foreign scales")
	update(t, ksmScale, func(k *v1alpha1.KSMScale) { k.Spec.Autoscaling.Mode = v1alpha1.ModeHorizontalPodAutoscaler })
	awaitCondition(t, ksmScale, v1alpha1.ConditionAutoscaling, metav1.ConditionFalse, v1alpha1.ReasonForeignAutoscaler)
	remove(t, foreign)
	awaitCondition(t, ksmScale, v1alpha1.ConditionAutoscaling, metav1.ConditionTrue, v1alpha1.ReasonFollowingNodes)
	awaitReplicas(t, ksmScale, 2, 2, 2)
}

// A GitOps tool that compares the applied file with the live object sees no difference, however the file writes numbers,
// and whoever else writes to the object.
func TestWhatIsAppliedIsWhatThereIs(t *testing.T) {
	setNodes(t, 60)
	written := `{"apiVersion": "monitor.example.com/v1alpha1", "kind": "KSMScale", "metadata": {"name": "gitops"}, "spec": {
		"resources": {"requests": {"cpu": "0.1", "memory": "1024Mi"}, "limits": {"cpu": "1.5", "memory": 2147483648}},
		"sharding": {"enabled": true, "shardCount": 2},
		"autoscaling": {"behavior": {"scaleUp": {"tolerance": "0.050", "stabilizationWindowSeconds": 0}}},
		"template": {"tolerations": [{"key": "a", "operator": "Exists"}]}}}`
	file := filepath.Join(t.TempDir(), "ksmscale.json")
	require.NoError(t, os.WriteFile(file, []byte(written), 0o600))
	_, err := shared.installed.Kubectl(t.Context(), "apply", "--validate=strict", "-f", file)
	require.NoError(t, err)
	ksmScale := &v1alpha1.KSMScale{ObjectMeta: metav1.ObjectMeta{Name: "gitops"}}
	t.Cleanup(func() { remove(t, ksmScale) })
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAsPlanned)
	assertNoDifference(t, file)

	var wanted []any
	for id := range int32(2) {
		wanted = append(wanted,
			extracted(t, shardObject(ksmScale, id, &appsv1.Deployment{}), appsv1ac.ExtractDeployment),
			extracted(t, shardObject(ksmScale, id, &corev1.Service{}), corev1ac.ExtractService),
			extracted(t, shardObject(ksmScale, id, &autoscalingv2.HorizontalPodAutoscaler{}), autoscalingv2ac.ExtractHorizontalPodAutoscaler),
			extracted(t, shardObject(ksmScale, id, &policyv1.PodDisruptionBudget{}), policyv1ac.ExtractPodDisruptionBudget))
	}
	named := metav1.ObjectMeta{Namespace: ksmScale.Spec.Namespace, Name: v1alpha1.ServiceAccountName(ksmScale.Name)}
	wanted = append(wanted,
		extracted(t, &corev1.ServiceAccount{ObjectMeta: named}, corev1ac.ExtractServiceAccount),
		extracted(t, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: named.Name}}, rbacv1ac.ExtractClusterRoleBinding))
	list, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": wanted})
	require.NoError(t, err)
	file = filepath.Join(t.TempDir(), "objects.json")
	require.NoError(t, os.WriteFile(file, list, 0o600))
	assertNoDifference(t, file)
}

// assertNoDifference checks that applying a file again would change no field, by both ways to apply it.
func assertNoDifference(t *testing.T, file string) {
	t.Helper()
	for _, way := range [][]string{{}, {"--server-side", "--force-conflicts", "--field-manager=gitops"}} {
		difference, err := shared.installed.Kubectl(t.Context(), append([]string{"diff", "-f", file}, way...)...)
		assert.NoError(t, err, "%s: %s", way, difference)
	}
}

// extracted is what the controller has applied of an object.
func extracted[T client.Object, C any](t *testing.T, object T, extract func(T, string) (C, error)) C {
	t.Helper()
	require.NoError(t, get(t, object))
	configuration, err := extract(object, "ksmscale")
	require.NoError(t, err)
	return configuration
}
