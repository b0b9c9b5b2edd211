package integration

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/cluster/audit"
	"github.com/example/ksmscale/test/installation"
)

const (
	controllerUser = "system:serviceaccount:" + installation.Namespace + ":" + installation.ControllerAccount
	autoscalerUser = "system:serviceaccount:kube-system:horizontal-pod-autoscaler"
	adapterUser    = "system:serviceaccount:" + installation.Namespace + ":" + installation.AdapterAccount
)

// A Deployment scaled by hand is put back by its HorizontalPodAutoscaler, and the controller stays out of it.
func TestHandScalingIsCorrectedByTheAutoscaler(t *testing.T) {
	setNodes(t, 60)
	ksmScale := create(t, newKSMScale())
	awaitReplicas(t, ksmScale, 2, 1, 1)
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAsPlanned)

	mark := auditMark(t)
	deployment := shardObject(ksmScale, 1, &appsv1.Deployment{})
	require.NoError(t, get(t, deployment))
	scaled := deployment.DeepCopy()
	scaled.Spec.Replicas = new(int32(5))
	require.NoError(t, shared.client.Patch(t.Context(), scaled, client.MergeFrom(deployment)))
	awaitReplicas(t, ksmScale, 2, 1, 1)

	awaitWrite(t, mark, autoscalerUser, "deployments")
	assert.NotContains(t, resources(audit.Writes(auditSince(t, mark), controllerUser)), "deployments")
}

// awaitWrite waits until a write of a resource by a user is in the audit log.
func awaitWrite(t *testing.T, mark int64, user, resource string) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.Contains(c, resources(audit.Writes(auditSince(c, mark), user)), resource)
	}, eventually, poll)
}

// resources are those that were written.
func resources(writes []auditv1.Event) []string {
	var kinds []string
	for _, write := range writes {
		kinds = append(kinds, write.ObjectRef.Resource)
	}
	return kinds
}

func TestHandEditsArePutBack(t *testing.T) {
	setNodes(t, 10)
	ksmScale := create(t, newKSMScale())
	awaitReplicas(t, ksmScale, 1, 1, 1)
	bare := shardOf(ksmScale, 0)

	edit(t, shardObject(ksmScale, 0, &corev1.Service{}), func(s *corev1.Service) { s.Spec.Selector["shard-id"] = "1" },
		func(s *corev1.Service) any { return s.Spec.Selector }, bare.Selector())
	edit(t, shardObject(ksmScale, 0, &autoscalingv2.HorizontalPodAutoscaler{}), func(h *autoscalingv2.HorizontalPodAutoscaler) { h.Spec.MaxReplicas = 7 },
		func(h *autoscalingv2.HorizontalPodAutoscaler) any { return h.Spec.MaxReplicas }, int32(1<<31-1))
	edit(t, shardObject(ksmScale, 0, &policyv1.PodDisruptionBudget{}), func(p *policyv1.PodDisruptionBudget) { p.Spec.MaxUnavailable = new(intstr.FromInt32(3)) },
		func(p *policyv1.PodDisruptionBudget) any { return p.Spec.MaxUnavailable.IntValue() }, 1)
	edit(t, shardObject(ksmScale, 0, &appsv1.Deployment{}), func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = "other" },
		func(d *appsv1.Deployment) any { return d.Spec.Template.Spec.Containers[0].Image }, ksmScale.Spec.MonitorImage)
	edit(t, shardObject(ksmScale, 0, &corev1.Service{}), func(s *corev1.Service) { delete(s.Labels, v1alpha1.LabelKSMScale) },
		func(s *corev1.Service) any { return s.Labels[v1alpha1.LabelKSMScale] }, ksmScale.Name)

	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.ServiceAccountName(ksmScale.Name)}}
	edit(t, binding, func(b *rbacv1.ClusterRoleBinding) { b.Subjects = nil },
		func(b *rbacv1.ClusterRoleBinding) any { return len(b.Subjects) }, 1)

	service := shardObject(ksmScale, 2, &corev1.Service{})
	require.NoError(t, get(t, service))
	before := service.UID
	require.NoError(t, shared.client.Delete(t.Context(), service))
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.NoError(c, get(t, service))
		require.NotEqual(c, before, service.UID, "a deleted Service comes back")
	}, eventually, poll)
}

// edit changes an object like kubectl edit, and waits until the controller has reverted the change.
func edit[T client.Object](t *testing.T, object T, change func(T), field func(T) any, expected any) {
	t.Helper()
	var version string
	update(t, object, func(o T) {
		require.Equal(t, expected, field(o), "before the edit")
		version = o.GetResourceVersion()
		change(o)
		require.NotEqual(t, expected, field(o))
	})
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.NoError(c, get(t, object))
		require.NotEqual(c, version, object.GetResourceVersion())
		require.Equal(c, expected, field(object))
	}, eventually, poll)
}

func TestOthersLabelsAndAnnotationsAreLeftAlone(t *testing.T) {
	setNodes(t, 10)
	ksmScale := create(t, newKSMScale())
	awaitReplicas(t, ksmScale, 1, 1, 1)
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAtMinimum)
	mark := auditMark(t)
	objects := []client.Object{
		shardObject(ksmScale, 0, &appsv1.Deployment{}),
		shardObject(ksmScale, 0, &corev1.Service{}),
		shardObject(ksmScale, 0, &autoscalingv2.HorizontalPodAutoscaler{}),
		shardObject(ksmScale, 0, &policyv1.PodDisruptionBudget{}),
	}
	for _, object := range objects {
		update(t, object, func(o client.Object) {
			o.SetLabels(with(o.GetLabels(), "team", "a"))
			o.SetAnnotations(with(o.GetAnnotations(), "team", "a"))
		})
	}
	// A change that the controller has to act on shows that it has looked at all of them since.
	update(t, ksmScale, func(k *v1alpha1.KSMScale) { k.Spec.NodesPerMonitor = 16 })
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.NoError(c, get(t, ksmScale))
		require.Equal(c, ksmScale.Generation, ksmScale.Status.ObservedGeneration)
	}, eventually, poll)
	awaitWrite(t, mark, controllerUser, "ksmscales")
	awaitQuiet(t, monitorClient(t), afterAChange)
	for _, object := range objects {
		require.NoError(t, get(t, object))
		assert.Equal(t, "a", object.GetLabels()["team"], "%T", object)
		assert.Equal(t, "a", object.GetAnnotations()["team"], "%T", object)
	}
	for _, write := range audit.Writes(auditSince(t, mark), controllerUser) {
		assert.NotEqual(t, ksmScale.Spec.Namespace, write.ObjectRef.Namespace, "the controller left the objects alone: %s", write.RequestURI)
	}
}

func with(all map[string]string, key, value string) map[string]string {
	if all == nil {
		all = map[string]string{}
	}
	all[key] = value
	return all
}

func TestObjectsOfOthersAreNotTakenOver(t *testing.T) {
	setNodes(t, 10)
	ksmScale := newKSMScale()
	createNamespace(t, ksmScale.Spec.Namespace)
	foreign := shardObject(ksmScale, 1, &corev1.Service{})
	foreign.Spec = corev1.ServiceSpec{Selector: map[string]string{"app": "other"}, Ports: []corev1.ServicePort{{Port: 80}}}
	require.NoError(t, shared.client.Create(t.Context(), foreign))
	create(t, ksmScale)

	condition := awaitCondition(t, ksmScale, v1alpha1.ConditionProgressing, metav1.ConditionFalse, v1alpha1.ReasonNotOwned)
	assert.Contains(t, condition.Message, foreign.Name)
	require.NoError(t, get(t, foreign))
	assert.Equal(t, map[string]string{"app": "other"}, foreign.Spec.Selector)
	awaitReplicas(t, ksmScale, 1, 1, 1)

	remove(t, foreign)
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAtMinimum)
}

func TestWhatIsNoLongerWantedIsPruned(t *testing.T) {
	setNodes(t, 10)
	ksmScale := create(t, newKSMScale(func(k *v1alpha1.KSMScale) {
		k.Spec.Template = &v1alpha1.PodTemplate{ExtraArgs: []string{"--resources=pods,secrets"}}
	}))
	secrets := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.ServiceAccountName(ksmScale.Name) + ":secrets"}}
	require.EventuallyWithT(t, func(c *assert.CollectT) { require.NoError(c, get(t, secrets)) }, eventually, poll)
	stray := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: ksmScale.Spec.Namespace, Name: "stray",
			Labels:          map[string]string{v1alpha1.LabelKSMScale: ksmScale.Name},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(ksmScale, v1alpha1.GroupVersion.WithKind("KSMScale"))},
		},
		Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
	}
	require.NoError(t, shared.client.Create(t.Context(), stray))
	notOurs := stray.DeepCopy()
	notOurs.ObjectMeta = metav1.ObjectMeta{Namespace: stray.Namespace, Name: "not-ours", Labels: stray.Labels}
	notOurs.Spec.ClusterIP, notOurs.Spec.ClusterIPs = "", nil
	require.NoError(t, shared.client.Create(t.Context(), notOurs))

	update(t, ksmScale, func(k *v1alpha1.KSMScale) { k.Spec.Template = nil })
	for _, object := range []client.Object{secrets, stray} {
		require.EventuallyWithT(t, func(c *assert.CollectT) {
			require.True(c, apierrors.IsNotFound(get(t, object)), "%T %s is still there", object, object.GetName())
		}, eventually, poll)
	}
	require.NoError(t, get(t, notOurs), "what only looks like ours is kept")
}

func TestDeletingRemovesEverything(t *testing.T) {
	setNodes(t, 10)
	ksmScale := create(t, newKSMScale())
	awaitReplicas(t, ksmScale, 1, 1, 1)
	remove(t, ksmScale)
	for _, list := range []client.ObjectList{
		&appsv1.DeploymentList{}, &corev1.ServiceList{}, &autoscalingv2.HorizontalPodAutoscalerList{},
		&policyv1.PodDisruptionBudgetList{}, &corev1.ServiceAccountList{}, &rbacv1.ClusterRoleBindingList{}, &corev1.PodList{},
	} {
		require.EventuallyWithT(t, func(c *assert.CollectT) {
			require.NoError(c, shared.client.List(t.Context(), list, client.MatchingLabels{v1alpha1.LabelKSMScale: ksmScale.Name}))
			require.Zero(c, length(t, list), "%T", list)
		}, eventually, poll)
	}
}
