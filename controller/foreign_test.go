package controller

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
)

// foreignFor is someone else's autoscaler of a Deployment in the namespace of the shards.
func foreignFor(deployment string, overrides ...func(*autoscalingv2.HorizontalPodAutoscaler)) *autoscalingv2.HorizontalPodAutoscaler {
	autoscaler := &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: "monitoring", Name: "own"},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{
			APIVersion: "apps/v1", Kind: "Deployment", Name: deployment,
		}},
	}
	for _, override := range overrides {
		override(autoscaler)
	}
	return autoscaler
}

func TestForeignAutoscalers(t *testing.T) {
	ownedBy := func(apiVersion, kind, name string, uid types.UID) func(*autoscalingv2.HorizontalPodAutoscaler) {
		return func(a *autoscalingv2.HorizontalPodAutoscaler) {
			a.OwnerReferences = []metav1.OwnerReference{{APIVersion: apiVersion, Kind: kind, Name: name, UID: uid, Controller: new(true)}}
		}
	}
	ours := shard(0).Name()
	for _, test := range []struct {
		name       string
		autoscaler *autoscalingv2.HorizontalPodAutoscaler
		want       []string
	}{
		{"someone else's", foreignFor(ours), []string{"HorizontalPodAutoscaler own"}},
		{"KEDA's", foreignFor(ours, ownedBy("keda.sh/v1alpha1", "ScaledObject", "shards", "other")), []string{"ScaledObject shards (HorizontalPodAutoscaler own)"}},
		{"our own", foreignFor(ours, ownedBy("monitor.example.com/v1alpha1", "KSMScale", "main", ksmScaleWith().UID)), nil},
		{"that of a KSMScale whose name begins alike", foreignFor(ours, ownedBy("monitor.example.com/v1alpha1", "KSMScale", "main-shard-0", "alike")), nil},
		{"that of a KSMScale that is gone", foreignFor(ours, ownedBy("monitor.example.com/v1alpha1", "KSMScale", "main", "other")), []string{"KSMScale main (HorizontalPodAutoscaler own)"}},
		{"of another kind", foreignFor(ours, func(a *autoscalingv2.HorizontalPodAutoscaler) { a.Spec.ScaleTargetRef.Kind = "StatefulSet" }), nil},
		{"in another namespace", foreignFor(ours, func(a *autoscalingv2.HorizontalPodAutoscaler) { a.Namespace = "other" }), nil},
		{"of a Deployment that is no shard", foreignFor("grafana"), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, _ := newReconciler(t, planner{}, nil)
			alike := ksmScaleWith(func(k *v1alpha1.KSMScale) { k.Name, k.UID = "main-shard-0", "alike" })
			require.NoError(t, r.Client.Create(t.Context(), alike))
			changed := newChanges()
			r.Foreign = NewForeignAutoscalers(r.Client, r.Client, clocktesting.NewFakeClock(testTime), changed.notify)
			require.NoError(t, r.Foreign.look(t.Context()))
			<-changed
			require.NoError(t, r.Client.Create(t.Context(), test.autoscaler))
			require.NoError(t, r.Foreign.look(t.Context()))
			assert.Equal(t, test.want, r.Foreign.snapshot().found[client.ObjectKey{Namespace: "monitoring", Name: ours}])
			assert.Len(t, changed, min(len(test.want), 1))
		})
	}
}

func TestForeignAutoscalersAreLookedForAgain(t *testing.T) {
	r, _ := newReconciler(t, planner{}, nil)
	clock := clocktesting.NewFakeClock(testTime)
	changed := newChanges()
	f := NewForeignAutoscalers(r.Client, r.Client, clock, changed.notify)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	foreign := foreignFor(shard(0).Name())
	require.NoError(t, r.Client.Create(t.Context(), foreign))
	go func() { ended <- f.Start(ctx) }()
	<-changed
	assert.Len(t, f.snapshot().found[client.ObjectKey{Namespace: "monitoring", Name: shard(0).Name()}], 1)
	require.NoError(t, r.Client.Delete(t.Context(), foreign))
	clock.Step(foreignInterval)
	<-changed
	assert.Empty(t, f.snapshot().found[client.ObjectKey{Namespace: "monitoring", Name: shard(0).Name()}])
	cancel()
	assert.NoError(t, <-ended)
}

func TestForeignAutoscalersAreReportedAndNotFought(t *testing.T) {
	r, _ := newReconciler(t, planner{}, nil)
	setMode(t, r, v1alpha1.ModeDirect)
	reconcileAt(t, r, 0, 45)
	require.NoError(t, r.Client.Create(t.Context(), foreignFor(shard(0).Name())))
	require.NoError(t, r.Foreign.look(t.Context()))
	autoscaling := func() *metav1.Condition {
		return meta.FindStatusCondition(readMain(t, r).Status.Conditions, v1alpha1.ConditionAutoscaling)
	}

	replicas, _ := reconcileAt(t, r, time.Minute, 90)
	assert.Equal(t, []int32{1, 2, 2}, replicas, "its shard is left to it")
	assert.Equal(t, v1alpha1.ReasonForeignAutoscaler, autoscaling().Reason)
	assert.Contains(t, autoscaling().Message, "HorizontalPodAutoscaler own scales Deployment ksm-main-shard-0-of-3 as well")

	w := newWorld(func(w *world) {
		w.observed.foreign.names = map[string][]string{shard(0).Name(): {"HorizontalPodAutoscaler own"}}
	})
	condition := meta.FindStatusCondition(w.status().Conditions, v1alpha1.ConditionAutoscaling)
	assert.Equal(t, "False ForeignAutoscaler", string(condition.Status)+" "+condition.Reason)

	setMode(t, r, v1alpha1.ModeNone)
	reconcileAt(t, r, time.Minute, 90)
	assert.Equal(t, "True ManualScaling", string(autoscaling().Status)+" "+autoscaling().Reason)
	assert.Contains(t, autoscaling().Message, "HorizontalPodAutoscaler own scales Deployment ksm-main-shard-0-of-3")
}
