package observation

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
	"github.com/example/ksmscale/controller/objects"
)

func TestForeignAutoscalers(t *testing.T) {
	ownedBy := func(apiVersion, kind, name string, uid types.UID) func(*autoscalingv2.HorizontalPodAutoscaler) {
		return func(a *autoscalingv2.HorizontalPodAutoscaler) {
			a.OwnerReferences = []metav1.OwnerReference{{APIVersion: apiVersion, Kind: kind, Name: name, UID: uid, Controller: new(true)}}
		}
	}
	ours := fixtures.Shard(0).Name()
	for _, test := range []struct {
		name       string
		autoscaler *autoscalingv2.HorizontalPodAutoscaler
		want       []string
	}{
		{"someone else's", fixtures.ForeignAutoscaler(ours), []string{"HorizontalPodAutoscaler own"}},
		{"KEDA's", fixtures.ForeignAutoscaler(ours, ownedBy("keda.sh/v1alpha1", "ScaledObject", "shards", "other")), []string{"ScaledObject shards (HorizontalPodAutoscaler own)"}},
		{"our own", fixtures.ForeignAutoscaler(ours, ownedBy("monitor.example.com/v1alpha1", "KSMScale", "main", fixtures.KSMScale().UID)), nil},
		{"that of a KSMScale whose name begins alike", fixtures.ForeignAutoscaler(ours, ownedBy("monitor.example.com/v1alpha1", "KSMScale", "main-shard-0", "alike")), nil},
		{"that of a KSMScale that is gone", fixtures.ForeignAutoscaler(ours, ownedBy("monitor.example.com/v1alpha1", "KSMScale", "main", "other")), []string{"KSMScale main (HorizontalPodAutoscaler own)"}},
		{"of another kind", fixtures.ForeignAutoscaler(ours, func(a *autoscalingv2.HorizontalPodAutoscaler) { a.Spec.ScaleTargetRef.Kind = "StatefulSet" }), nil},
		{"in another namespace", fixtures.ForeignAutoscaler(ours, func(a *autoscalingv2.HorizontalPodAutoscaler) { a.Namespace = "other" }), nil},
		{"of a Deployment that is no shard", fixtures.ForeignAutoscaler("grafana"), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newClient(t)
			alike := fixtures.KSMScale(func(k *v1alpha1.KSMScale) { k.Name, k.UID = "main-shard-0", "alike" })
			require.NoError(t, c.Create(t.Context(), alike))
			changed := newChanges()
			foreign := NewForeignAutoscalers(c, c, clocktesting.NewFakeClock(fixtures.Time), changed.notify)
			require.NoError(t, foreign.Poll(t.Context()))
			<-changed
			require.NoError(t, c.Create(t.Context(), test.autoscaler))
			require.NoError(t, foreign.Poll(t.Context()))
			assert.Equal(t, test.want, foreign.Latest().Objects.names[client.ObjectKey{Namespace: "monitoring", Name: ours}])
			assert.Len(t, changed, min(len(test.want), 1))
		})
	}
}

// After a deletion with --cascade=orphan, the autoscaler of a shard belongs to no KSMScale until it is created again.
func TestOrphanedAutoscalersAreNotForeign(t *testing.T) {
	orphan := fixtures.ForeignAutoscaler(fixtures.Shard(0).Name(), func(a *autoscalingv2.HorizontalPodAutoscaler) {
		a.Labels = map[string]string{v1alpha1.LabelKSMScale: "main"}
		a.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: objects.FieldOwner, Operation: metav1.ManagedFieldsOperationApply}}
	})
	_, isForeign := foreignTarget(orphan, nil)
	assert.False(t, isForeign)
	orphan.ManagedFields = nil
	_, isForeign = foreignTarget(orphan, nil)
	assert.True(t, isForeign, "only labelled like ours")
}

// The first KSMScale of a namespace waits for a poll that covers the namespace. A later one does not.
func TestAutoscalersOfANewKSMScale(t *testing.T) {
	c, changed := newClient(t), newChanges()
	foreign := NewForeignAutoscalers(c, c, clocktesting.NewFakeClock(fixtures.Time), changed.notify)
	isUnknown := func(namespace string) bool { return foreignAutoscalers(namespace, nil, foreign.Latest()).Unknown }
	assert.True(t, isUnknown("monitoring"), "before the first poll")
	later := fixtures.Shard(0)
	later.KSMScale = "later"
	require.NoError(t, c.Create(t.Context(), fixtures.ForeignAutoscaler(later.Name())))
	require.NoError(t, foreign.Poll(t.Context()))
	require.Len(t, changed, 1)
	<-changed
	assert.False(t, isUnknown("monitoring"))
	assert.Len(t, foreign.Latest().Objects.names[client.ObjectKey{Namespace: "monitoring", Name: later.Name()}], 1, "the KSMScale does not exist yet")
	require.NoError(t, c.Create(t.Context(), fixtures.KSMScale(func(k *v1alpha1.KSMScale) { k.Name, k.UID, k.Spec.Namespace = "new", "new", "new" })))
	assert.True(t, isUnknown("new"))
	require.NoError(t, foreign.Poll(t.Context()))
	require.Len(t, changed, 1)
	<-changed
	assert.False(t, isUnknown("new"))
	require.NoError(t, foreign.Poll(t.Context()))
	assert.Empty(t, changed, "nothing changed")
}

func TestForeignAutoscalersAreLookedForAgain(t *testing.T) {
	c := newClient(t)
	clock := clocktesting.NewFakeClock(fixtures.Time)
	changed := newChanges()
	f := NewForeignAutoscalers(c, c, clock, changed.notify)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	foreign := fixtures.ForeignAutoscaler(fixtures.Shard(0).Name())
	require.NoError(t, c.Create(t.Context(), foreign))
	go func() { ended <- f.Start(ctx) }()
	<-changed
	assert.Len(t, f.Latest().Objects.names[client.ObjectKey{Namespace: "monitoring", Name: fixtures.Shard(0).Name()}], 1)
	require.NoError(t, c.Delete(t.Context(), foreign))
	clock.Step(foreignInterval)
	<-changed
	assert.Empty(t, f.Latest().Objects.names[client.ObjectKey{Namespace: "monitoring", Name: fixtures.Shard(0).Name()}])
	cancel()
	assert.NoError(t, <-ended)
}
