package integration

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/installation"
)

func TestNamespaceThatDoesNotExist(t *testing.T) {
	setNodes(t, 10)
	ksmScale := newKSMScale()
	require.NoError(t, shared.client.Create(t.Context(), ksmScale))
	t.Cleanup(func() { remove(t, ksmScale) })
	condition := awaitCondition(t, ksmScale, v1alpha1.ConditionProgressing, metav1.ConditionFalse, v1alpha1.ReasonNamespaceNotFound)
	assert.Contains(t, condition.Message, "create it")
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonNamespaceNotFound)
	awaitEvent(t, ksmScale, corev1.EventTypeWarning, v1alpha1.ReasonNamespaceNotFound)

	createNamespace(t, ksmScale.Spec.Namespace)
	awaitReplicas(t, ksmScale, 1, 1, 1)
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAtMinimum)
	awaitEvent(t, ksmScale, corev1.EventTypeNormal, v1alpha1.ReasonAtMinimum)
}

func TestMissingRights(t *testing.T) {
	setNodes(t, 10)
	running := create(t, newKSMScale())
	awaitReplicas(t, running, 1, 1, 1)

	restore := forbidWrites(t, schema.GroupResource{Resource: "services"})
	stuck := create(t, newKSMScale())
	condition := awaitCondition(t, stuck, v1alpha1.ConditionProgressing, metav1.ConditionFalse, v1alpha1.ReasonForbidden)
	assert.Contains(t, condition.Message, "services")
	awaitEvent(t, stuck, corev1.EventTypeWarning, v1alpha1.ReasonForbidden)
	awaitReplicas(t, stuck, 1, 1, 1)
	awaitReplicas(t, running, 1, 1, 1)

	restore()
	awaitCondition(t, stuck, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAtMinimum)
}

func TestMissingRightsToRegisterMetrics(t *testing.T) {
	setNodes(t, 60)
	ksmScale := create(t, newKSMScale())
	awaitReplicas(t, ksmScale, 2, 1, 1)
	restore := forbidWrites(t, schema.GroupResource{Group: apiregistrationv1.GroupName, Resource: "apiservices"})
	require.NoError(t, shared.client.Delete(t.Context(), externalMetrics()))

	condition := awaitCondition(t, ksmScale, v1alpha1.ConditionAutoscaling, metav1.ConditionFalse, v1alpha1.ReasonForbidden)
	assert.Contains(t, condition.Message, "apiservices")
	awaitEvent(t, ksmScale, corev1.EventTypeWarning, v1alpha1.ReasonForbidden)

	restore()
	awaitReplicas(t, ksmScale, 2, 1, 1)
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAsPlanned)
}

// forbidWrites takes the right to write a resource from the controller, until the test ends or restore is called.
func forbidWrites(t *testing.T, resource schema.GroupResource) (restore func()) {
	t.Helper()
	return forbid(t, resource, "patch", "create", "update", "delete")
}

// forbid takes the right to some verbs of a resource from the controller, until the test ends or restore is called.
func forbid(t *testing.T, resource schema.GroupResource, verbs ...string) (restore func()) {
	t.Helper()
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: installation.ControllerAccount}}
	require.NoError(t, get(t, role))
	complete := role.DeepCopy()
	role.Rules = nil
	for _, rule := range complete.DeepCopy().Rules {
		if slices.Contains(rule.APIGroups, resource.Group) && slices.Contains(rule.Resources, resource.Resource) {
			narrowed := rule.DeepCopy()
			narrowed.Resources = []string{resource.Resource}
			narrowed.Verbs = slices.DeleteFunc(narrowed.Verbs, func(verb string) bool { return slices.Contains(verbs, verb) })
			if len(narrowed.Verbs) > 0 {
				role.Rules = append(role.Rules, *narrowed)
			}
			rule.Resources = slices.DeleteFunc(rule.Resources, func(other string) bool { return other == resource.Resource })
		}
		if len(rule.Resources) > 0 {
			role.Rules = append(role.Rules, rule)
		}
	}
	require.NotEqual(t, complete.Rules, role.Rules)
	require.NoError(t, shared.client.Update(t.Context(), role))
	restore = func() {
		require.NoError(t, shared.client.Get(afterwards(t), client.ObjectKeyFromObject(role), role))
		role.Rules = complete.Rules
		require.NoError(t, shared.client.Update(afterwards(t), role))
	}
	t.Cleanup(restore)

	awaitDenied(t, authorizationv1.ResourceAttributes{Group: resource.Group, Resource: resource.Resource, Verb: verbs[0]})
	return restore
}

// awaitDenied waits until the API server, which has an informer of roles, denies a request of the controller.
func awaitDenied(t *testing.T, request authorizationv1.ResourceAttributes) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: controllerUser, ResourceAttributes: &request}}
		require.NoError(c, shared.client.Create(t.Context(), review))
		require.False(c, review.Status.Allowed)
	}, eventually, poll)
}

func TestForeignAPIService(t *testing.T) {
	leaveRunning(t)
	setNodes(t, 60)
	ksmScale := create(t, newKSMScale())
	awaitReplicas(t, ksmScale, 2, 1, 1)
	require.NoError(t, shared.controller.Stop(t.Context()))
	ours := externalMetrics()
	require.NoError(t, get(t, ours))
	require.NoError(t, shared.client.Delete(t.Context(), ours))
	foreign := &apiregistrationv1.APIService{
		ObjectMeta: metav1.ObjectMeta{Name: ours.Name},
		Spec: apiregistrationv1.APIServiceSpec{
			Group: ours.Spec.Group, Version: ours.Spec.Version, GroupPriorityMinimum: 100, VersionPriority: 100,
			Service:               &apiregistrationv1.ServiceReference{Namespace: "keda", Name: "keda-operator-metrics-apiserver", Port: new(int32(443))},
			InsecureSkipTLSVerify: true,
		},
	}
	require.NoError(t, shared.client.Create(t.Context(), foreign))
	t.Cleanup(func() {
		// The controller's own may have its name by now.
		err := shared.client.Delete(afterwards(t), foreign, client.Preconditions{UID: &foreign.UID})
		if !apierrors.IsConflict(err) {
			require.NoError(t, client.IgnoreNotFound(err))
		}
	})
	startController(t, "controller-foreign")

	condition := awaitCondition(t, ksmScale, v1alpha1.ConditionAutoscaling, metav1.ConditionFalse, v1alpha1.ReasonForeignAPIService)
	for _, part := range []string{
		"served by Service keda/keda-operator-metrics-apiserver", "delete that APIService and the software that installed it",
		"--delegate=keda/keda-operator-metrics-apiserver:443", "spec.autoscaling.mode to Direct",
	} {
		assert.Contains(t, condition.Message, part)
	}
	awaitEvent(t, ksmScale, corev1.EventTypeWarning, v1alpha1.ReasonForeignAPIService)
	require.NoError(t, get(t, foreign))
	assert.Equal(t, "keda", foreign.Spec.Service.Namespace, "a foreign APIService is not taken over")
	assert.Empty(t, foreign.Spec.CABundle)
	for id, replicas := range []int32{2, 1, 1} {
		deployment := shardObject(ksmScale, int32(id), &appsv1.Deployment{})
		require.NoError(t, get(t, deployment))
		assert.Equal(t, replicas, *deployment.Spec.Replicas, "replicas stay as they are")
	}

	require.NoError(t, shared.client.Delete(t.Context(), foreign))
	awaitCondition(t, ksmScale, v1alpha1.ConditionAutoscaling, metav1.ConditionTrue, v1alpha1.ReasonFollowingNodes)
	setNodes(t, 75)
	awaitReplicas(t, ksmScale, 2, 2, 1)

	// An installer that changes KSMScale's object instead of creating another one.
	require.NoError(t, get(t, ours))
	require.NotEmpty(t, ours.OwnerReferences)
	theirs := ours.DeepCopy()
	theirs.Spec.Service = foreign.Spec.Service
	require.NoError(t, shared.client.Patch(t.Context(), theirs, client.MergeFrom(ours), client.FieldOwner("helm")))
	t.Cleanup(func() {
		err := shared.client.Delete(afterwards(t), theirs, client.Preconditions{UID: &theirs.UID})
		if !apierrors.IsConflict(err) {
			require.NoError(t, client.IgnoreNotFound(err))
		}
	})
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.NoError(c, get(t, theirs))
		require.Empty(c, theirs.OwnerReferences, "it does not go with our installation")
		require.Empty(c, theirs.Spec.CABundle)
	}, eventually, poll)
	assert.Equal(t, foreign.Spec.Service, theirs.Spec.Service)
	awaitCondition(t, ksmScale, v1alpha1.ConditionAutoscaling, metav1.ConditionFalse, v1alpha1.ReasonForeignAPIService)
	require.NoError(t, shared.client.Delete(t.Context(), theirs))
	awaitCondition(t, ksmScale, v1alpha1.ConditionAutoscaling, metav1.ConditionTrue, v1alpha1.ReasonFollowingNodes)
}

func TestPodsThatFitNowhere(t *testing.T) {
	setNodes(t, 10)
	ksmScale := create(t, newKSMScale(func(k *v1alpha1.KSMScale) {
		k.Spec.Template = &v1alpha1.PodTemplate{NodeSelector: map[string]v1alpha1.LabelValue{"disk": "ssd"}}
	}))
	condition := awaitCondition(t, ksmScale, v1alpha1.ConditionSchedulable, metav1.ConditionFalse, v1alpha1.ReasonUnschedulable)
	assert.Contains(t, condition.Message, "didn't match Pod's node affinity/selector", "the scheduler is quoted")
	awaitCondition(t, ksmScale, v1alpha1.ConditionCovered, metav1.ConditionFalse, v1alpha1.ReasonShardsNotReady)
	assert.Equal(t, v1alpha1.PhaseIncomplete, ksmScale.Status.Phase)

	update(t, ksmScale, func(k *v1alpha1.KSMScale) { k.Spec.Template = nil })
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAtMinimum)
	assert.Equal(t, v1alpha1.PhaseReady, ksmScale.Status.Phase)
}

// The kubelet here is the test's: KWOK runs pods of any image.
func TestImageThatDoesNotExist(t *testing.T) {
	setNodes(t, 10)
	const missing = "registry.example.com/kube-state-metrics:missing"
	ksmScale := create(t, newKSMScale(onKubelet(t)))
	awaitPulled(t, ksmScale, missing, "0", "1", "2")
	awaitCondition(t, ksmScale, v1alpha1.ConditionCovered, metav1.ConditionTrue, v1alpha1.ReasonAllShardsReady)
	awaitCreated(t, ksmScale)
	before := ksmScale.Spec.MonitorImage

	update(t, ksmScale, func(k *v1alpha1.KSMScale) { k.Spec.MonitorImage = missing })
	awaitPulled(t, ksmScale, missing, "0")
	condition := awaitCondition(t, ksmScale, v1alpha1.ConditionProgressing, metav1.ConditionFalse, "ImagePullBackOff")
	assert.Contains(t, condition.Message, missing)
	awaitEvent(t, ksmScale, corev1.EventTypeWarning, "ImagePullBackOff")
	awaitCondition(t, ksmScale, v1alpha1.ConditionCovered, metav1.ConditionTrue, v1alpha1.ReasonAllShardsReady)
	for _, id := range []int32{1, 2} {
		deployment := shardObject(ksmScale, id, &appsv1.Deployment{})
		require.NoError(t, get(t, deployment))
		assert.Equal(t, before, deployment.Spec.Template.Spec.Containers[0].Image, "shard %d is not rolled out to it", id)
	}
}

// onKubelet creates a node whose kubelet is the test, and has the pods of a KSMScale run there.
func onKubelet(t *testing.T) func(*v1alpha1.KSMScale) {
	t.Helper()
	labels := map[string]string{"kubelet": "test", corev1.LabelOSStable: "linux", corev1.LabelHostname: "test-kubelet"}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "test-kubelet", Labels: labels}}
	require.NoError(t, shared.client.Create(t.Context(), node))
	t.Cleanup(func() { remove(t, node) })
	created := node.DeepCopy()
	node.Status.Capacity = corev1.ResourceList{corev1.ResourcePods: resource.MustParse("100"), corev1.ResourceCPU: resource.MustParse("8"), corev1.ResourceMemory: resource.MustParse("8Gi")}
	node.Status.Allocatable = node.Status.Capacity
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now()}}
	require.NoError(t, shared.client.Status().Patch(t.Context(), node, client.MergeFrom(created)))
	return func(k *v1alpha1.KSMScale) {
		k.Spec.Template = &v1alpha1.PodTemplate{
			NodeSelector: map[string]v1alpha1.LabelValue{"kubelet": "test"},
			Tolerations:  []v1alpha1.Toleration{{Operator: corev1.TolerationOpExists}},
		}
	}
}

// awaitPulled reports on the pods of a KSMScale like a kubelet, until each of these shards has a pod of the current image.
// The pod runs, or waits for an image that cannot be pulled.
func awaitPulled(t *testing.T, ksmScale *v1alpha1.KSMScale, missing string, ids ...string) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		var pods corev1.PodList
		require.NoError(c, shared.client.List(t.Context(), &pods, client.MatchingLabels{v1alpha1.LabelKSMScale: ksmScale.Name}))
		shards := map[string]bool{}
		for i := range pods.Items {
			pod := &pods.Items[i]
			if pod.Spec.NodeName == "" {
				continue
			}
			status := corev1.ContainerStatus{Name: pod.Spec.Containers[0].Name, Image: pod.Spec.Containers[0].Image}
			ready := corev1.ConditionTrue
			if status.Image == missing {
				ready = corev1.ConditionFalse
				status.State.Waiting = &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "Back-off pulling image " + missing}
			} else {
				status.Ready = true
				status.State.Running = &corev1.ContainerStateRunning{}
			}
			pod.Status.ContainerStatuses = []corev1.ContainerStatus{status}
			pod.Status.Conditions = append(withoutReady(pod.Status.Conditions), corev1.PodCondition{Type: corev1.PodReady, Status: ready, LastTransitionTime: pod.CreationTimestamp})
			require.NoError(c, shared.client.Status().Update(t.Context(), pod))
			shards[pod.Labels[v1alpha1.LabelShardID]+" "+status.Image] = true
		}
		for _, id := range ids {
			require.True(c, shards[strings.Join([]string{id, ksmScale.Spec.MonitorImage}, " ")], "shard %s has a pod", id)
		}
	}, eventually, poll)
}

func withoutReady(conditions []corev1.PodCondition) []corev1.PodCondition {
	var others []corev1.PodCondition
	for _, condition := range conditions {
		if condition.Type != corev1.PodReady {
			others = append(others, condition)
		}
	}
	return others
}
