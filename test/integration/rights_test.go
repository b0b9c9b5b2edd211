package integration

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

// bindingOf is a binding of the service account of a KSMScale, not yet read.
func bindingOf(ksmScale *v1alpha1.KSMScale, suffix string) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.ServiceAccountName(ksmScale.Name) + suffix}}
}

func awaitNoBinding(t *testing.T, ksmScale *v1alpha1.KSMScale, suffix string) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.True(c, apierrors.IsNotFound(get(t, bindingOf(ksmScale, suffix))), "binding %q is still there", suffix)
	}, eventually, poll)
}

func accountOf(ksmScale *v1alpha1.KSMScale) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ksmScale.Spec.Namespace, Name: v1alpha1.ServiceAccountName(ksmScale.Name)}}
}

// A paused Deployment keeps its pods, which need their rights. The status has the reason why they stay. Others lose no
// right because of it.
func TestRightsStayWhilePodsUseThem(t *testing.T) {
	setNodes(t, 10)
	ksmScale := create(t, newKSMScale(func(k *v1alpha1.KSMScale) {
		k.Spec.Metrics.AuthFilter, k.Spec.Metrics.Resources = true, []string{"pods", "secrets"}
	}))
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAtMinimum)
	paused := shardObject(ksmScale, 1, &appsv1.Deployment{})
	update(t, paused, func(d *appsv1.Deployment) { d.Spec.Paused = true })
	update(t, ksmScale, func(k *v1alpha1.KSMScale) { k.Spec.Metrics = v1alpha1.MetricsConfig{} })
	condition := awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonDeploymentPaused)
	assert.Contains(t, condition.Message, "kubectl -n "+ksmScale.Spec.Namespace+" rollout resume deployment "+paused.Name)
	// A check after all other Deployments have replaced their pods.
	awaitDeployed(t, ksmScale, 1, 1, 1)
	lookAgain(t, ksmScale)
	for _, suffix := range []string{"", ":secrets", ":auth-filter"} {
		require.NoError(t, get(t, bindingOf(ksmScale, suffix)), "a pod uses it")
	}

	_, err := shared.installed.Kubectl(t.Context(), "-n", paused.Namespace, "rollout", "resume", "deployment", paused.Name)
	require.NoError(t, err)
	awaitNoBinding(t, ksmScale, ":secrets")
	awaitNoBinding(t, ksmScale, ":auth-filter")
	require.NoError(t, get(t, bindingOf(ksmScale, "")))
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAtMinimum)
}

// The service account with the name in a binding has its rights, whoever created it.
func TestRightsAreForOurServiceAccountOnly(t *testing.T) {
	leaveRunning(t)
	setNodes(t, 10)
	t.Run("not for one of someone else's", func(t *testing.T) {
		ksmScale := newKSMScale()
		createNamespace(t, ksmScale.Spec.Namespace)
		foreign := accountOf(ksmScale)
		require.NoError(t, shared.client.Create(t.Context(), foreign))
		create(t, ksmScale)
		condition := awaitCondition(t, ksmScale, v1alpha1.ConditionProgressing, metav1.ConditionFalse, v1alpha1.ReasonNotOwned)
		assert.Contains(t, condition.Message, "ServiceAccount")
		require.True(t, apierrors.IsNotFound(get(t, bindingOf(ksmScale, ""))))

		remove(t, foreign)
		awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAtMinimum)
		require.NoError(t, get(t, bindingOf(ksmScale, "")))
	})
	t.Run("not for one that takes the place of ours", func(t *testing.T) {
		ksmScale := create(t, newKSMScale())
		awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAtMinimum)
		require.NoError(t, shared.controller.Stop(t.Context()))
		remove(t, accountOf(ksmScale))
		require.NoError(t, shared.client.Create(t.Context(), accountOf(ksmScale)))
		require.NoError(t, get(t, bindingOf(ksmScale, "")))
		startController(t, "controller-account")
		awaitNoBinding(t, ksmScale, "")
		awaitCondition(t, ksmScale, v1alpha1.ConditionProgressing, metav1.ConditionFalse, v1alpha1.ReasonNotOwned)
	})
	t.Run("not for one in a namespace that has gone", func(t *testing.T) {
		ksmScale := create(t, newKSMScale())
		awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAtMinimum)
		remove(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ksmScale.Spec.Namespace}})
		awaitCondition(t, ksmScale, v1alpha1.ConditionProgressing, metav1.ConditionFalse, v1alpha1.ReasonNamespaceNotFound)
		awaitNoBinding(t, ksmScale, "")
	})
}
