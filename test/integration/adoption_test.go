package integration

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/cluster"
	"github.com/example/ksmscale/test/installation"
	"github.com/example/ksmscale/test/walk"
)

// A backup may be restored without owner references.
func TestObjectsWithoutAnOwnerAreAdopted(t *testing.T) {
	setNodes(t, 10)
	ksmScale := create(t, newKSMScale())
	awaitReplicas(t, ksmScale, 1, 1, 1)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ksmScale.Spec.Namespace, Name: v1alpha1.ServiceAccountName(ksmScale.Name)}}
	for _, object := range []client.Object{
		shardObject(ksmScale, 0, &appsv1.Deployment{}), shardObject(ksmScale, 0, &corev1.Service{}),
		shardObject(ksmScale, 0, &autoscalingv2.HorizontalPodAutoscaler{}), shardObject(ksmScale, 0, &policyv1.PodDisruptionBudget{}),
		account, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: account.Name}},
	} {
		edit(t, object, func(o client.Object) { o.SetOwnerReferences(nil) },
			func(o client.Object) any { return metav1.IsControlledBy(o, ksmScale) }, true)
	}
}

// On clusters such as OpenShift's, only who may delete an object may change its owner.
func TestOwnerReferencesPermissionEnforcement(t *testing.T) {
	useCluster(t, cluster.Options{
		HPASyncPeriod: time.Second,
		Flags:         map[string][]string{cluster.APIServer: {"--enable-admission-plugins=OwnerReferencesPermissionEnforcement"}},
	})
	setNodes(t, 10)
	ksmScale := newKSMScale()
	createNamespace(t, ksmScale.Spec.Namespace)
	require.NoError(t, shared.client.Create(t.Context(), ksmScale))
	awaitReplicas(t, ksmScale, 1, 1, 1)

	t.Run("adoption", func(t *testing.T) {
		before := uids(t, ksmScale, nil)
		orphan(t, ksmScale)
		awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAtMinimum)
		assert.Equal(t, before, uids(t, ksmScale, ksmScale), "the same objects and pods are there, and have an owner again")
	})
	t.Run("adoption refused", func(t *testing.T) {
		allow := deny(t, authorizationv1.ResourceAttributes{Resource: "services", Verb: "delete"})
		orphan(t, ksmScale)
		condition := awaitCondition(t, ksmScale, v1alpha1.ConditionProgressing, metav1.ConditionFalse, v1alpha1.ReasonForbidden)
		assert.Contains(t, condition.Message, "cannot set an ownerRef on a resource you can't delete")
		assert.Contains(t, condition.Message, shardOf(ksmScale, 0).Name())
		allow()
		awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAtMinimum)
	})
	t.Run("APIService of another adapter", func(t *testing.T) { anotherTakesTheAPIService(t, ksmScale) })
}

// anotherTakesTheAPIService shows that another adapter's API outlives an uninstallation, and that a condition warns if it would not.
func anotherTakesTheAPIService(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	ctx := t.Context()
	allow := deny(t, authorizationv1.ResourceAttributes{
		Group: apiregistrationv1.GroupName, Resource: "apiservices", Name: v1alpha1.APIServiceName, Verb: "delete",
	})
	taken := externalMetrics()
	require.NoError(t, get(t, taken))
	patch := client.MergeFrom(taken.DeepCopy())
	taken.Spec = startOther(t, shared.installed, shared.client)
	require.NoError(t, shared.client.Patch(ctx, taken, patch))
	const warning = "uninstalling KSMScale would delete APIService"
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.NoError(c, get(t, ksmScale))
		condition := meta.FindStatusCondition(ksmScale.Status.Conditions, v1alpha1.ConditionAutoscaling)
		require.Equal(c, v1alpha1.ReasonForeignAPIService, condition.Reason)
		require.Contains(c, condition.Message, warning)
	}, eventually, poll)
	require.NoError(t, get(t, taken))
	require.NotEmpty(t, taken.OwnerReferences)
	allow()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.NoError(c, get(t, ksmScale))
		require.NotContains(c, meta.FindStatusCondition(ksmScale.Status.Conditions, v1alpha1.ConditionAutoscaling).Message, warning)
	}, eventually, poll)
	require.NoError(t, get(t, taken))
	require.Empty(t, taken.OwnerReferences)
	require.NoError(t, shared.installed.AwaitMetrics(ctx))

	_, err := shared.installed.Kubectl(ctx, "delete", "ksmscales", "--all")
	require.NoError(t, err)
	require.NoError(t, shared.adapter.Stop(ctx))
	require.NoError(t, shared.controller.Stop(ctx))
	_, err = shared.installed.Kubectl(ctx, "delete", "--timeout=2m", "-k", filepath.Join("..", "..", "config/ksmscale"))
	require.NoError(t, err)
	awaitGone(t, shared.client, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: installation.Namespace}})
	left := externalMetrics()
	require.NoError(t, get(t, left))
	assert.Equal(t, taken.UID, left.UID)
	assert.Equal(t, taken.Spec, left.Spec)
}

// useCluster has all helpers use another cluster with KSMScale on it, until the test ends.
func useCluster(t *testing.T, options cluster.Options) {
	t.Helper()
	before := shared
	t.Cleanup(func() { shared = before })
	var err error
	shared.cluster = cluster.StartT(t, options)
	shared.installed, err = installation.Install(t.Context(), shared.cluster)
	require.NoError(t, err)
	shared.client, err = client.NewWithWatch(shared.cluster.Config(), client.Options{Scheme: before.client.Scheme()})
	require.NoError(t, err)
	shared.walker, err = walk.New(shared.cluster.Config())
	require.NoError(t, err)
	shared.controller, shared.adapter, err = shared.installed.StartAll(t.Context())
	require.NoError(t, err)
}

// orphan deletes a KSMScale, keeps its objects, and creates it again.
func orphan(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	_, err := shared.installed.Kubectl(t.Context(), "delete", "ksmscale", ksmScale.Name, "--cascade=orphan")
	require.NoError(t, err)
	*ksmScale = v1alpha1.KSMScale{ObjectMeta: metav1.ObjectMeta{Name: ksmScale.Name}, Spec: ksmScale.Spec}
	require.NoError(t, shared.client.Create(t.Context(), ksmScale))
}

// uids identify the objects and pods of a KSMScale. If an owner is given, each of the objects must have it.
func uids(t *testing.T, ksmScale, owner *v1alpha1.KSMScale) []types.UID {
	t.Helper()
	var actual []types.UID
	for _, list := range []client.ObjectList{
		&appsv1.DeploymentList{}, &corev1.ServiceList{}, &autoscalingv2.HorizontalPodAutoscalerList{}, &policyv1.PodDisruptionBudgetList{},
		&corev1.ServiceAccountList{}, &rbacv1.ClusterRoleBindingList{}, &corev1.PodList{},
	} {
		require.NoError(t, shared.client.List(t.Context(), list, client.MatchingLabels{v1alpha1.LabelKSMScale: ksmScale.Name}))
		require.NoError(t, meta.EachListItem(list, func(item runtime.Object) error {
			object, err := meta.Accessor(item)
			require.NoError(t, err)
			actual = append(actual, object.GetUID())
			if _, isPod := item.(*corev1.Pod); !isPod && owner != nil {
				assert.True(t, metav1.IsControlledBy(object, owner), "%T %s", item, object.GetName())
			}
			return nil
		}))
	}
	slices.Sort(actual)
	return actual
}

// deny takes a right from the controller until the returned function is called.
func deny(t *testing.T, request authorizationv1.ResourceAttributes) (allow func()) {
	t.Helper()
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: installation.ControllerAccount}}
	require.NoError(t, get(t, role))
	before := role.DeepCopy().Rules
	for i := range role.Rules {
		rule := &role.Rules[i]
		if !slices.Contains(rule.Resources, request.Resource) {
			continue
		}
		rule.Verbs = slices.DeleteFunc(slices.Clone(rule.Verbs), func(granted string) bool { return granted == request.Verb })
	}
	require.NotEqual(t, before, role.Rules)
	require.NoError(t, shared.client.Update(t.Context(), role))
	awaitDenied(t, request)
	return func() {
		update(t, role, func(role *rbacv1.ClusterRole) { role.Rules = before })
	}
}
