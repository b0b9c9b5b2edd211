package controller

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
	"github.com/example/ksmscale/controller/objects"
)

// shardPod is a pod of shard 0 that runs under the service account of the KSMScale.
func shardPod(overrides ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "monitoring", Name: "old", Labels: objects.ShardLabels(fixtures.KSMScale(), fixtures.Shard(0))},
		Spec:       corev1.PodSpec{ServiceAccountName: v1alpha1.ServiceAccountName("main"), Containers: []corev1.Container{{Name: objects.ContainerName}}},
	}
	shard, _ := v1alpha1.ShardOf(pod.Labels)
	fixtures.OwnedByDeployment(pod, shard)
	for _, override := range overrides {
		override(pod)
	}
	return pod
}

func withArgs(args ...string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.Containers[0].Args = args }
}

// setStatus sets the status of the Deployment of shard 0 as Kubernetes does.
func setStatus(t *testing.T, r *Reconciler, status appsv1.DeploymentStatus) {
	t.Helper()
	var deployment appsv1.Deployment
	require.NoError(t, r.Client.Get(t.Context(), client.ObjectKey{Namespace: "monitoring", Name: fixtures.Shard(0).Name()}, &deployment))
	deployment.Status = status
	require.NoError(t, r.Client.Status().Update(t.Context(), &deployment))
}

// hasBinding reconciles, and tells whether a binding exists then, by the end of its name.
func hasBinding(t *testing.T, r *Reconciler, suffix string) bool {
	t.Helper()
	_, err := reconcileMain(t, r)
	require.NoError(t, err)
	err = r.Client.Get(t.Context(), client.ObjectKey{Name: v1alpha1.ServiceAccountName("main") + suffix}, &rbacv1.ClusterRoleBinding{})
	require.NoError(t, client.IgnoreNotFound(err))
	return err == nil
}

// Both rights are taken away when no pod needs them any more, and not when the spec no longer asks for them.
func TestRightsStayUntilNoPodUsesThem(t *testing.T) {
	for _, test := range []struct {
		suffix, arg string
		on, off     func(*v1alpha1.MetricsConfig)
	}{
		{":auth-filter", "--auth-filter", func(m *v1alpha1.MetricsConfig) { m.AuthFilter = true }, func(m *v1alpha1.MetricsConfig) { m.AuthFilter = false }},
		{":secrets", "--resources=pods, secrets", func(m *v1alpha1.MetricsConfig) { m.Resources = []string{"pods", "secrets"} }, func(m *v1alpha1.MetricsConfig) { m.Resources = nil }},
	} {
		t.Run(test.suffix, func(t *testing.T) {
			r, _ := newReconciler(t, planner{nodes: 60}, nil)
			change := func(change func(*v1alpha1.MetricsConfig)) {
				ksmScale := readMain(t, r)
				change(&ksmScale.Spec.Metrics)
				require.NoError(t, r.Client.Update(t.Context(), ksmScale))
			}
			change(test.on)
			require.True(t, hasBinding(t, r, test.suffix))
			pod := shardPod(withArgs("--shard=0", test.arg), func(p *corev1.Pod) { p.Finalizers = []string{"example.com/leaves-late"} })
			require.NoError(t, r.Client.Create(t.Context(), pod))

			change(test.off)
			assert.True(t, hasBinding(t, r, test.suffix), "its Deployment has only just changed")
			setStatus(t, r, appsv1.DeploymentStatus{Replicas: 2, UpdatedReplicas: 1})
			assert.True(t, hasBinding(t, r, test.suffix), "the new pod is not ready yet")
			require.NoError(t, r.Client.Delete(t.Context(), pod))
			setStatus(t, r, appsv1.DeploymentStatus{Replicas: 1, UpdatedReplicas: 1})
			assert.True(t, hasBinding(t, r, test.suffix), "it is scraped until it has ended")
			require.NoError(t, r.Client.Get(t.Context(), client.ObjectKeyFromObject(pod), pod))
			pod.Finalizers = nil
			require.NoError(t, r.Client.Update(t.Context(), pod))
			assert.False(t, hasBinding(t, r, test.suffix))
			assert.True(t, hasBinding(t, r, ""))
		})
	}
}

// Who creates pods must neither get rights by it nor keep them.
func TestPodsOfOthersNeedNoRights(t *testing.T) {
	current := appsv1.DeploymentStatus{Replicas: 1, UpdatedReplicas: 1}
	for _, test := range []struct {
		name   string
		pod    *corev1.Pod
		status appsv1.DeploymentStatus
		before bool
	}{
		{"with labels of ours", shardPod(withArgs("--resources=secrets"), func(p *corev1.Pod) { p.OwnerReferences = nil }), appsv1.DeploymentStatus{Replicas: 2, UpdatedReplicas: 1}, true},
		{"with a forged owner, once the Deployment has no old pods", shardPod(withArgs("--resources=secrets")), current, true},
		{"under another service account", shardPod(withArgs("--resources=secrets"), func(p *corev1.Pod) { p.Spec.ServiceAccountName = "other" }), appsv1.DeploymentStatus{Replicas: 2, UpdatedReplicas: 1}, true},
		{"that has ended", shardPod(withArgs("--resources=secrets"), func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }), appsv1.DeploymentStatus{Replicas: 2, UpdatedReplicas: 1}, true},
		{"that looks like ours in a rollout, and there was no right", shardPod(withArgs("--resources=secrets")), appsv1.DeploymentStatus{Replicas: 2, UpdatedReplicas: 1}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, _ := newReconciler(t, planner{nodes: 60}, nil)
			if test.before {
				withSecrets := readMain(t, r)
				withSecrets.Spec.Metrics.Resources = []string{"secrets"}
				require.NoError(t, r.Client.Update(t.Context(), withSecrets))
			}
			require.Equal(t, test.before, hasBinding(t, r, ":secrets"))
			require.NoError(t, r.Client.Create(t.Context(), test.pod))
			without := readMain(t, r)
			without.Spec.Metrics.Resources = nil
			require.NoError(t, r.Client.Update(t.Context(), without))
			hasBinding(t, r, ":secrets")
			setStatus(t, r, test.status)
			assert.False(t, hasBinding(t, r, ":secrets"))
		})
	}
}

// The service account of a binding must be the KSMScale's own: the one by that name may be someone else's, or be created by someone
// else once its namespace exists.
func TestRightsNeedOurServiceAccount(t *testing.T) {
	account := client.ObjectKey{Namespace: "monitoring", Name: v1alpha1.ServiceAccountName("main")}
	for _, test := range []struct {
		name    string
		refusal error
		make    func(*testing.T, *Reconciler)
		says    string
	}{
		{name: "someone else's", make: func(t *testing.T, r *Reconciler) {
			require.NoError(t, r.Client.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: account.Namespace, Name: account.Name}}))
		}, says: "does not belong to this KSMScale"},
		{name: "someone else's with our label", make: func(t *testing.T, r *Reconciler) {
			require.NoError(t, r.Client.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{
				Namespace: account.Namespace, Name: account.Name, Labels: objects.IdentityLabels(fixtures.KSMScale()),
			}}))
		}, says: "does not belong to this KSMScale"},
		{name: "in a namespace that does not exist", refusal: apierrors.NewNotFound(corev1.Resource("namespaces"), "monitoring"),
			make: func(*testing.T, *Reconciler) {}, says: "not found"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var refusal error
			r, _ := newReconciler(t, planner{nodes: 60}, func(kind, _ string) error {
				if kind == "ClusterRoleBinding" {
					return nil
				}
				return refusal
			})
			see := func(bindings int) {
				t.Helper()
				var list rbacv1.ClusterRoleBindingList
				require.NoError(t, r.Client.List(t.Context(), &list))
				assert.Len(t, list.Items, bindings)
			}
			secrets := readMain(t, r)
			secrets.Spec.Metrics.Resources = []string{"secrets"}
			require.NoError(t, r.Client.Update(t.Context(), secrets))
			_, err := reconcileMain(t, r)
			require.NoError(t, err)
			see(2)

			require.NoError(t, r.Client.Delete(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: account.Namespace, Name: account.Name}}))
			refusal = test.refusal
			test.make(t, r)
			require.NoError(t, r.Client.Create(t.Context(), shardPod(withArgs("--resources=secrets"))))
			_, err = reconcileMain(t, r)
			require.ErrorContains(t, err, test.says)
			see(0)
			_, err = reconcileMain(t, r)
			require.ErrorContains(t, err, test.says)
			see(0)
		})
	}
}

// What fails for another reason leaves the account and its rights as they are.
func TestRightsStayWhileTheServiceAccountCannotBeApplied(t *testing.T) {
	var refusal error
	r, _ := newReconciler(t, planner{nodes: 60}, func(kind, _ string) error {
		if kind == "ServiceAccount" {
			return refusal
		}
		return nil
	})
	require.True(t, hasBinding(t, r, ""))
	var account corev1.ServiceAccount
	require.NoError(t, r.Client.Get(t.Context(), client.ObjectKey{Namespace: "monitoring", Name: v1alpha1.ServiceAccountName("main")}, &account))
	delete(account.Labels, "app.kubernetes.io/name")
	require.NoError(t, r.Client.Update(t.Context(), &account))
	refusal = apierrors.NewForbidden(corev1.Resource("serviceaccounts"), account.Name, errors.New("no"))
	_, err := reconcileMain(t, r)
	require.ErrorIs(t, err, refusal)
	assert.NoError(t, r.Client.Get(t.Context(), client.ObjectKey{Name: account.Name}, &rbacv1.ClusterRoleBinding{}))
}

func TestRightsAreTakenAwayWhateverElseFails(t *testing.T) {
	var refusal error
	r, _ := newReconciler(t, planner{nodes: 60}, func(kind, _ string) error {
		if kind == "Deployment" {
			return refusal
		}
		return nil
	})
	binding := client.ObjectKey{Name: v1alpha1.ServiceAccountName("main") + ":secrets"}
	withSecrets := readMain(t, r)
	withSecrets.Spec.Template = &v1alpha1.PodTemplate{ExtraArgs: []string{"--resources=pods,secrets"}}
	require.NoError(t, r.Client.Update(t.Context(), withSecrets))
	_, err := reconcileMain(t, r)
	require.NoError(t, err)
	require.NoError(t, r.Client.Get(t.Context(), binding, &rbacv1.ClusterRoleBinding{}))

	without := readMain(t, r)
	without.Spec.Template = nil
	require.NoError(t, r.Client.Update(t.Context(), without))
	refusal = errors.New("refused")
	_, err = reconcileMain(t, r)
	require.ErrorIs(t, err, refusal)
	assert.True(t, apierrors.IsNotFound(r.Client.Get(t.Context(), binding, &rbacv1.ClusterRoleBinding{})))
}

// The pods that run under the service account of the KSMScale have its rights until others have replaced them.
func TestAServiceAccountOfTheUsersHasTheirRights(t *testing.T) {
	r, _ := newReconciler(t, planner{nodes: 60}, nil)
	account := v1alpha1.ServiceAccountName("main")
	_, err := reconcileMain(t, r)
	require.NoError(t, err)
	pod := shardPod(func(p *corev1.Pod) { p.Spec.ServiceAccountName = account })
	require.NoError(t, r.Client.Create(t.Context(), pod))
	users := readMain(t, r)
	users.Spec.Template = &v1alpha1.PodTemplate{ServiceAccountName: "users"}
	require.NoError(t, r.Client.Update(t.Context(), users))
	_, err = reconcileMain(t, r)
	require.NoError(t, err)
	binding := client.ObjectKey{Name: account}
	require.NoError(t, r.Client.Get(t.Context(), binding, &rbacv1.ClusterRoleBinding{}), "a pod needs it")

	require.NoError(t, r.Client.Delete(t.Context(), pod))
	_, err = reconcileMain(t, r)
	require.NoError(t, err)
	assert.True(t, apierrors.IsNotFound(r.Client.Get(t.Context(), binding, &rbacv1.ClusterRoleBinding{})))
}

func TestAServiceAccountOfTheUsersIsNotMade(t *testing.T) {
	r, _ := newReconciler(t, planner{nodes: 60}, nil)
	users := readMain(t, r)
	users.Spec.Template = &v1alpha1.PodTemplate{ServiceAccountName: "users"}
	require.NoError(t, r.Client.Update(t.Context(), users))
	_, err := reconcileMain(t, r)
	require.NoError(t, err)
	var accounts corev1.ServiceAccountList
	require.NoError(t, r.Client.List(t.Context(), &accounts))
	assert.Empty(t, accounts.Items)
	var bindings rbacv1.ClusterRoleBindingList
	require.NoError(t, r.Client.List(t.Context(), &bindings))
	assert.Empty(t, bindings.Items)
}
