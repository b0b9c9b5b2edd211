package controller

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/controller/partition"
)

// objectsOf lists what there is with the label of the KSMScale.
func objectsOf(t *testing.T, r *Reconciler) []client.Object {
	t.Helper()
	var objects []client.Object
	for _, list := range []client.ObjectList{
		&appsv1.DeploymentList{}, &corev1.ServiceList{}, &autoscalingv2.HorizontalPodAutoscalerList{}, &policyv1.PodDisruptionBudgetList{},
		&corev1.ServiceAccountList{}, &rbacv1.ClusterRoleBindingList{},
	} {
		require.NoError(t, r.Client.List(t.Context(), list, client.MatchingLabels{v1alpha1.LabelKSMScale: "main"}))
		require.NoError(t, meta.EachListItem(list, func(item runtime.Object) error {
			object, ok := item.(client.Object)
			require.True(t, ok)
			objects = append(objects, object)
			return nil
		}))
	}
	return objects
}

// orphan removes a KSMScale and keeps what it owned, as `kubectl delete --cascade=orphan` does, and creates another of its name.
func orphan(t *testing.T, r *Reconciler, overrides ...func(*v1alpha1.KSMScale)) *v1alpha1.KSMScale {
	t.Helper()
	for _, object := range objectsOf(t, r) {
		object.SetOwnerReferences(nil)
		require.NoError(t, r.Client.Update(t.Context(), object, client.FieldOwner("kube-controller-manager")))
	}
	require.NoError(t, r.Client.Delete(t.Context(), readMain(t, r)))
	_, err := reconcileMain(t, r)
	require.NoError(t, err)
	recreated := fixtures.KSMScale(append(overrides, func(k *v1alpha1.KSMScale) { k.UID = "another" })...)
	require.NoError(t, r.Client.Create(t.Context(), recreated))
	return recreated
}

func TestOrphansAreAdopted(t *testing.T) {
	r, _ := newReconciler(t, planner{nodes: 60}, nil)
	reconcileTimes(t, r, 1)
	before := templates(t, r)
	recreated := orphan(t, r)
	reconcileTimes(t, r, 1)

	after := objectsOf(t, r)
	require.Equal(t, 3*4+2, len(after))
	var versions []string
	for _, object := range after {
		assert.True(t, metav1.IsControlledBy(object, recreated), "%T %s", object, object.GetName())
		versions = append(versions, object.GetResourceVersion())
	}
	assert.Equal(t, before, templates(t, r), "no pod restarts")
	reconcileTimes(t, r, 3)
	for i, object := range objectsOf(t, r) {
		assert.Equal(t, versions[i], object.GetResourceVersion(), "%T %s is adopted once", object, object.GetName())
	}
}

func templates(t *testing.T, r *Reconciler) map[string]corev1.PodTemplateSpec {
	t.Helper()
	templates := map[string]corev1.PodTemplateSpec{}
	for _, object := range objectsOf(t, r) {
		if deployment, ok := object.(*appsv1.Deployment); ok {
			templates[deployment.Name] = deployment.Spec.Template
		}
	}
	return templates
}

// The old partition serves until the new one has taken over, and is deleted then.
func TestOrphansOfAnotherPartitionAreAdopted(t *testing.T) {
	r, _ := newReconciler(t, planner{nodes: 60}, nil)
	reconcileTimes(t, r, 1)
	recreated := orphan(t, r, func(k *v1alpha1.KSMScale) { k.Spec.Sharding.ShardCount = 5 })
	reconcileTimes(t, r, 1)
	assert.Len(t, templates(t, r), 3+1, "the new shards come one at a time")
	for _, object := range objectsOf(t, r) {
		assert.True(t, metav1.IsControlledBy(object, recreated), "%T %s", object, object.GetName())
	}
	assert.Equal(t, []int32{3, 5}, readMain(t, r).Status.ShardingStatus.Partitions)
}

// A new version of KSMScale may come with the new KSMScale. Its turn to roll out comes later.
func TestOrphansWhoseRolloutWaitsAreAdopted(t *testing.T) {
	r, _ := newReconciler(t, planner{nodes: 60}, nil)
	reconcileTimes(t, r, 1)
	before := templates(t, r)
	recreated := orphan(t, r)
	for _, object := range objectsOf(t, r) {
		if deployment, ok := object.(*appsv1.Deployment); ok {
			deployment.Status = appsv1.DeploymentStatus{ObservedGeneration: 1, Replicas: 1, UpdatedReplicas: 1, AvailableReplicas: 1}
			require.NoError(t, r.Client.Status().Update(t.Context(), deployment))
		}
	}
	r.GateImage, r.Rollouts = "example.com/ksmscale:v2", partition.RolloutLimits{}
	reconcileTimes(t, r, 1)
	assert.Equal(t, before, templates(t, r))
	for _, object := range objectsOf(t, r) {
		assert.True(t, metav1.IsControlledBy(object, recreated), "%T %s", object, object.GetName())
	}
}

// Autoscalers that nobody owns would go on scaling in a mode without them.
func TestOrphansThatAreNotDesiredArePruned(t *testing.T) {
	r, _ := newReconciler(t, planner{nodes: 60}, nil)
	reconcileTimes(t, r, 1)
	orphan(t, r, func(k *v1alpha1.KSMScale) { k.Spec.Autoscaling = &v1alpha1.AutoscalingConfig{Mode: v1alpha1.ModeNone} })
	reconcileTimes(t, r, 1)
	assert.Zero(t, autoscalerCount(t, r))
}

func TestWhatIsNotOursIsNotAdopted(t *testing.T) {
	applied := metav1.ManagedFieldsEntry{Manager: objects.FieldOwner, Operation: metav1.ManagedFieldsOperationApply}
	for _, test := range []struct {
		name   string
		change func(*corev1.Service)
		ours   bool
	}{
		{"an orphan", func(*corev1.Service) {}, true},
		{"another controller's", func(s *corev1.Service) {
			s.OwnerReferences = []metav1.OwnerReference{{Kind: "Other", UID: "other", Controller: new(true)}}
		}, false},
		{"another owner's", func(s *corev1.Service) { s.OwnerReferences = []metav1.OwnerReference{{Kind: "Other", UID: "other"}} }, false},
		{"another KSMScale's of the same name", func(s *corev1.Service) {
			s.OwnerReferences = []metav1.OwnerReference{{Kind: "KSMScale", Name: "main", UID: "other", Controller: new(true)}}
		}, false},
		{"another KSMScale's", func(s *corev1.Service) { s.Labels[v1alpha1.LabelKSMScale] = "other" }, false},
		{"in another namespace", func(s *corev1.Service) { s.Namespace = "other" }, false},
		{"labelled by hand", func(s *corev1.Service) { s.ManagedFields = nil }, false},
		{"applied by another manager", func(s *corev1.Service) { s.ManagedFields[0].Manager = "kubectl" }, false},
		{"updated under our name", func(s *corev1.Service) { s.ManagedFields[0].Operation = metav1.ManagedFieldsOperationUpdate }, false},
		{"scaled only", func(s *corev1.Service) { s.ManagedFields[0].Subresource = "scale" }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{
				Namespace: "monitoring", Name: fixtures.Shard(0).Name(), Labels: objects.ShardLabels(fixtures.KSMScale(), fixtures.Shard(0)),
				ManagedFields: []metav1.ManagedFieldsEntry{applied},
			}}
			test.change(service)
			assert.Equal(t, test.ours, observation.IsOwnedBy(service, fixtures.KSMScale()))
		})
	}
}
