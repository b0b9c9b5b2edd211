package controller

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	toolscache "k8s.io/client-go/tools/cache"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
	"github.com/example/ksmscale/controller/fixtures/snapshots"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/nodes"
)

func TestPodChanged(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*corev1.Pod)
		want   bool
	}{
		{"nothing but the version", func(p *corev1.Pod) { p.ResourceVersion = "2" }, false},
		{"an annotation", func(p *corev1.Pod) { p.Annotations = map[string]string{"a": "b"} }, false},
		{"no longer ready", fixtures.NotReady, true},
		{"being deleted", func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: fixtures.Time} }, true},
		{"adopted", func(p *corev1.Pod) { fixtures.OwnedByDeployment(p, fixtures.Shard(0)) }, true},
		{"of another shard", func(p *corev1.Pod) { p.Labels[v1alpha1.LabelShardID] = "1" }, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			before, after := fixtures.Pod(0, "a"), fixtures.Pod(0, "a", test.change)
			assert.Equal(t, test.want, podChanged().Update(event.UpdateEvent{ObjectOld: &before, ObjectNew: &after}))
		})
	}
	one := fixtures.Pod(0, "a")
	assert.True(t, podChanged().Create(event.CreateEvent{Object: &one}))
	assert.True(t, podChanged().Delete(event.DeleteEvent{Object: &one}))
}

func TestPodsLeadToTheirKSMScale(t *testing.T) {
	one := fixtures.Pod(0, "a")
	assert.Equal(t, []reconcile.Request{{NamespacedName: client.ObjectKey{Name: "main"}}}, ksmScaleOf(t.Context(), &one))
}

func TestNodeChangesAreGathered(t *testing.T) {
	counter := nodes.NewCounter(clocktesting.NewFakePassiveClock(fixtures.Time))
	listing := counter.Listing()
	require.NoError(t, listing.Replace(nil, ""))
	changes := nodeChanges(counter)
	node := func(name string) *corev1.Node { return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}} }
	require.NoError(t, listing.Update(node("a")))
	require.Len(t, changes, 1, "a node came")
	require.NoError(t, listing.Add(node("b")))
	require.Len(t, changes, 1, "an event that has not been taken stands for the next change as well")
	<-changes
	require.NoError(t, listing.Update(node("a")))
	assert.Empty(t, changes, "a heartbeat is no change")
	require.NoError(t, listing.Delete(node("a")))
	assert.Len(t, changes, 1)
}

func TestCacheHasOurManagedFieldsOnly(t *testing.T) {
	apply, update := metav1.ManagedFieldsOperationApply, metav1.ManagedFieldsOperationUpdate
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{
		{Manager: "kubectl", Operation: apply}, {Manager: objects.FieldOwner, Operation: apply},
		{Manager: "kube-controller-manager", Operation: update, Subresource: "status"},
		{Manager: objects.FieldOwner, Operation: update, Subresource: "scale"},
	}}}
	kept, err := cacheOptions(certificateKey).DefaultTransform(deployment)
	require.NoError(t, err)
	assert.Equal(t, []metav1.ManagedFieldsEntry{{Manager: objects.FieldOwner, Operation: apply}}, kept.(*appsv1.Deployment).ManagedFields)

	missed := toolscache.DeletedFinalStateUnknown{Key: "a"}
	kept, err = cacheOptions(certificateKey).DefaultTransform(missed)
	require.NoError(t, err)
	assert.Equal(t, missed, kept)
}

// certificateKey is the only Secret that the controller reads from its cache.
var certificateKey = client.ObjectKey{Namespace: "ksmscale-system", Name: "certificate"}

func TestCacheIsNarrow(t *testing.T) {
	ours := labels.Set{v1alpha1.LabelKSMScale: "main"}
	for object, by := range cacheOptions(certificateKey).ByObject {
		switch object.(type) {
		case *corev1.Secret:
			assert.Contains(t, by.Namespaces, "ksmscale-system")
			assert.Len(t, by.Namespaces, 1)
			require.NotNil(t, by.Field)
			assert.True(t, by.Field.Matches(labels.Set{"metadata.name": certificateKey.Name}))
			assert.False(t, by.Field.Matches(labels.Set{"metadata.name": "other"}))
		default:
			if by.Field != nil {
				assert.True(t, by.Field.Matches(labels.Set{"metadata.name": v1alpha1.APIServiceName}), "%T", object)
				assert.False(t, by.Field.Matches(labels.Set{"metadata.name": "v1.apps"}), "%T", object)
				continue
			}
			require.NotNil(t, by.Label, "%T", object)
			assert.True(t, by.Label.Matches(ours), "%T", object)
			assert.False(t, by.Label.Matches(labels.Set{"app": "other"}), "%T", object)
		}
	}
}

func TestTheEndOfARolloutIsTold(t *testing.T) {
	settled, rolling, stuck := snapshots.OwnedDeployment("main", 0), snapshots.OwnedDeployment("main", 0, snapshots.Surging), snapshots.OwnedDeployment("main", 0, snapshots.PastDeadline)
	ended := turnEnded()
	assert.True(t, ended.Update(event.UpdateEvent{ObjectOld: &rolling, ObjectNew: &settled}))
	assert.True(t, ended.Update(event.UpdateEvent{ObjectOld: &rolling, ObjectNew: &stuck}))
	assert.True(t, ended.Delete(event.DeleteEvent{Object: &rolling}))
	assert.False(t, ended.Update(event.UpdateEvent{ObjectOld: &settled, ObjectNew: &rolling}))
	assert.False(t, ended.Update(event.UpdateEvent{ObjectOld: &rolling, ObjectNew: &rolling}))
	assert.False(t, ended.Delete(event.DeleteEvent{Object: &settled}))
	assert.False(t, ended.Create(event.CreateEvent{Object: &rolling}))
}
