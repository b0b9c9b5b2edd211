package controller

import (
	"context"
	"errors"
	"testing"
	"time"

	monitoringv1alpha1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
	"github.com/example/ksmscale/controller/observation"
)

func setMode(t *testing.T, r *Reconciler, mode v1alpha1.AutoscalingMode) {
	t.Helper()
	ksmScale := readMain(t, r)
	ksmScale.Spec.Autoscaling = &v1alpha1.AutoscalingConfig{Mode: mode}
	require.NoError(t, r.Client.Update(t.Context(), ksmScale))
}

// reconcileAt reconciles some time after the start, with that many nodes, and returns the replicas of each shard.
func reconcileAt(t *testing.T, r *Reconciler, after time.Duration, nodes int) (replicas []int32, requeueAfter time.Duration) {
	t.Helper()
	r.Clock, r.Plans = clocktesting.NewFakePassiveClock(fixtures.Time.Add(after)), planner{nodes: nodes}
	result, err := reconcileMain(t, r)
	require.NoError(t, err)
	return deployedReplicas(t, r), result.RequeueAfter
}

func deployedReplicas(t *testing.T, r *Reconciler) []int32 {
	t.Helper()
	var replicas []int32
	for id := range int32(3) {
		var deployment appsv1.Deployment
		require.NoError(t, r.Client.Get(t.Context(), client.ObjectKey{Namespace: "monitoring", Name: fixtures.Shard(id).Name()}, &deployment))
		replicas = append(replicas, observation.ReplicasOf(&deployment))
	}
	return replicas
}

func autoscalerCount(t *testing.T, r *Reconciler) int {
	t.Helper()
	var autoscalers autoscalingv2.HorizontalPodAutoscalerList
	require.NoError(t, r.Client.List(t.Context(), &autoscalers))
	return len(autoscalers.Items)
}

func TestDirectScalesAtThePaceOfAnAutoscaler(t *testing.T) {
	r, _ := newReconciler(t, planner{}, nil)
	setMode(t, r, v1alpha1.ModeDirect)
	replicas, requeueAfter := reconcileAt(t, r, 0, 60)
	assert.Equal(t, []int32{2, 1, 1}, replicas, "at once")
	assert.Zero(t, requeueAfter)
	assert.Zero(t, autoscalerCount(t, r))

	replicas, requeueAfter = reconcileAt(t, r, time.Minute, 450)
	assert.Equal(t, []int32{6, 5, 5}, replicas, "four more of each at the most")
	assert.Equal(t, 15*time.Second, requeueAfter)
	replicas, requeueAfter = reconcileAt(t, r, 75*time.Second, 450)
	assert.Equal(t, []int32{10, 10, 10}, replicas)
	assert.Zero(t, requeueAfter)

	replicas, requeueAfter = reconcileAt(t, r, time.Hour, 75)
	assert.Equal(t, []int32{10, 10, 10}, replicas, "not down yet")
	assert.Equal(t, 5*time.Minute, requeueAfter)
	replicas, _ = reconcileAt(t, r, time.Hour+5*time.Minute, 75)
	assert.Equal(t, []int32{2, 2, 1}, replicas)
}

// Growing delays after errors would slow the steps down.
func TestDirectKeepsItsPaceWhileMonitorsAreRefused(t *testing.T) {
	r, _ := newReconciler(t, planner{}, func(kind, _ string) error {
		if kind == monitoringv1alpha1.ScrapeConfigsKind {
			return errors.New("refused")
		}
		return nil
	})
	r.Monitors = observation.NewMonitors(fixtures.InstalledKinds(observation.MonitorKinds), r.Client, r.Client, clocktesting.NewFakeClock(fixtures.Time), func() {})
	require.NoError(t, r.Monitors.Poll(t.Context()))
	setMode(t, r, v1alpha1.ModeDirect)
	r.Clock, r.Plans = clocktesting.NewFakePassiveClock(fixtures.Time), planner{nodes: 60}
	_, err := reconcileMain(t, r)
	require.ErrorContains(t, err, "refused", "no step is due")

	replicas, requeueAfter := reconcileAt(t, r, time.Minute, 450)
	assert.Equal(t, []int32{6, 5, 5}, replicas)
	assert.Equal(t, 10*time.Second, requeueAfter, "monitors are tried again earlier than the next step")
	_, requeueAfter = reconcileAt(t, r, 72*time.Second, 450)
	assert.Equal(t, 3*time.Second, requeueAfter)
	assert.True(t, meta.IsStatusConditionFalse(readMain(t, r).Status.Conditions, v1alpha1.ConditionMonitoring))
}

func TestDirectRemovesNothingForAWindowAfterARestart(t *testing.T) {
	r, _ := newReconciler(t, planner{}, nil)
	setMode(t, r, v1alpha1.ModeDirect)
	reconcileAt(t, r, 0, 90)
	r.histories = histories{}
	replicas, requeueAfter := reconcileAt(t, r, time.Hour, 45)
	assert.Equal(t, []int32{2, 2, 2}, replicas)
	assert.Equal(t, 5*time.Minute, requeueAfter)
	replicas, _ = reconcileAt(t, r, time.Hour+5*time.Minute, 45)
	assert.Equal(t, []int32{1, 1, 1}, replicas)
}

// What was recommended before someone else scaled says nothing of what they scaled to.
func TestDirectRemovesNothingForAWindowAfterOthersScaled(t *testing.T) {
	r, _ := newReconciler(t, planner{}, nil)
	setMode(t, r, v1alpha1.ModeDirect)
	replicas, _ := reconcileAt(t, r, 0, 45)
	require.Equal(t, []int32{1, 1, 1}, replicas)
	setMode(t, r, v1alpha1.ModeNone)
	reconcileAt(t, r, time.Hour, 45)
	var deployment appsv1.Deployment
	require.NoError(t, r.Client.Get(t.Context(), client.ObjectKey{Namespace: "monitoring", Name: fixtures.Shard(0).Name()}, &deployment))
	deployment.Spec.Replicas = new(int32(2))
	require.NoError(t, r.Client.Update(t.Context(), &deployment))

	setMode(t, r, v1alpha1.ModeDirect)
	replicas, requeueAfter := reconcileAt(t, r, 2*time.Hour, 45)
	assert.Equal(t, []int32{2, 1, 1}, replicas)
	assert.Equal(t, 5*time.Minute, requeueAfter)
}

// Someone else's autoscaler may be there, and is not known before the first look.
func TestDirectWaitsForALookAtAutoscalersOfOthers(t *testing.T) {
	r, _ := newReconciler(t, planner{}, nil)
	setMode(t, r, v1alpha1.ModeDirect)
	changed := newChanges()
	var refusal error
	r.Foreign = observation.NewForeignAutoscalers(r.Client, refusable{r.Client, &refusal}, clocktesting.NewFakeClock(fixtures.Time), changed.notify)
	see := func(status metav1.ConditionStatus, reason, message string) {
		t.Helper()
		condition := meta.FindStatusCondition(readMain(t, r).Status.Conditions, v1alpha1.ConditionAutoscaling)
		assert.Equal(t, string(status)+" "+reason, string(condition.Status)+" "+condition.Reason)
		assert.Contains(t, condition.Message, message)
	}
	replicas, _ := reconcileAt(t, r, 0, 60)
	assert.Equal(t, []int32{1, 1, 1}, replicas)
	see(metav1.ConditionUnknown, v1alpha1.ReasonStarting, "does not scale the shards until it has listed HorizontalPodAutoscalers of others")

	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "horizontalpodautoscalers"}, "", errors.New("no"))
	refusal = forbidden
	require.Error(t, r.Foreign.Poll(t.Context()))
	<-changed
	replicas, _ = reconcileAt(t, r, 0, 60)
	assert.Equal(t, []int32{1, 1, 1}, replicas)
	see(metav1.ConditionFalse, v1alpha1.ReasonForbidden, "horizontalpodautoscalers is forbidden")
	require.Error(t, r.Foreign.Poll(t.Context()))
	assert.Empty(t, changed, "the same failure is no news")

	refusal = nil
	require.NoError(t, r.Foreign.Poll(t.Context()))
	<-changed
	replicas, _ = reconcileAt(t, r, time.Second, 60)
	assert.Equal(t, []int32{2, 1, 1}, replicas)
	see(metav1.ConditionTrue, v1alpha1.ReasonFollowingNodes, "The controller scales the shards")

	refusal = forbidden
	require.Error(t, r.Foreign.Poll(t.Context()))
	<-changed
	replicas, _ = reconcileAt(t, r, time.Minute, 90)
	assert.Equal(t, []int32{2, 2, 2}, replicas, "what was found before is acted on")
	see(metav1.ConditionTrue, v1alpha1.ReasonFollowingNodes, "; the controller cannot list HorizontalPodAutoscalers of others, so it does not notice a new one")
}

// A new leader has not looked either, and its first status must not differ from the last one of its predecessor.
func TestConditionsStayUntilTheFirstLookOfALeader(t *testing.T) {
	r, recorder := newReconciler(t, planner{}, nil)
	setMode(t, r, v1alpha1.ModeDirect)
	reconcileAt(t, r, 0, 60)
	before := readMain(t, r)
	require.Len(t, recorder.Events, 1)
	r.Foreign = observation.NewForeignAutoscalers(r.Client, r.Client, clocktesting.NewFakeClock(fixtures.Time), func() {})
	r.Budgets = observation.NewForeignBudgets(r.Client, r.Client, clocktesting.NewFakeClock(fixtures.Time), func() {})
	reconcileAt(t, r, time.Second, 60)
	assert.Equal(t, before.ResourceVersion, readMain(t, r).ResourceVersion)
	assert.Len(t, recorder.Events, 1)
}

func TestDirectOwnsNoReplicasByApply(t *testing.T) {
	r, _ := newReconciler(t, planner{}, nil)
	setMode(t, r, v1alpha1.ModeDirect)
	reconcileAt(t, r, 0, 60)
	reconcileAt(t, r, 0, 60)
	var deployment appsv1.Deployment
	require.NoError(t, r.Client.Get(t.Context(), client.ObjectKey{Namespace: "monitoring", Name: fixtures.Shard(0).Name()}, &deployment))
	for _, entry := range deployment.ManagedFields {
		if entry.Operation == metav1.ManagedFieldsOperationApply {
			assert.NotContains(t, string(entry.FieldsV1.GetRawBytes()), "f:replicas")
		}
	}
}

// Others change the Deployment all the time, and the cache lags behind.
func TestDirectScalesDespiteConflicts(t *testing.T) {
	r, _ := newReconciler(t, planner{}, nil)
	setMode(t, r, v1alpha1.ModeDirect)
	conflicts := 2
	live, ok := r.Client.(client.WithWatch)
	require.True(t, ok)
	r.Client = interceptor.NewClient(live, interceptor.Funcs{SubResourceUpdate: func(ctx context.Context, c client.Client, subResource string, object client.Object, options ...client.SubResourceUpdateOption) error {
		if conflicts--; conflicts >= 0 && subResource == "scale" {
			return apierrors.NewConflict(appsv1.Resource("deployments"), object.GetName(), errors.New("has changed"))
		}
		return c.SubResource(subResource).Update(ctx, object, options...)
	}})
	replicas, _ := reconcileAt(t, r, 0, 60)
	assert.Equal(t, []int32{2, 1, 1}, replicas)
}

func TestDirectDoesNotScaleOnWhatACacheSays(t *testing.T) {
	r, _ := newReconciler(t, planner{}, nil)
	setMode(t, r, v1alpha1.ModeDirect)
	reconcileAt(t, r, 0, 45)
	live, ok := r.Client.(client.WithWatch)
	require.True(t, ok)
	var scaled []int32
	r.Client = interceptor.NewClient(live, interceptor.Funcs{
		SubResourceGet: func(ctx context.Context, c client.Client, subResource string, object, body client.Object, options ...client.SubResourceGetOption) error {
			err := c.SubResource(subResource).Get(ctx, object, body, options...)
			if scale, ok := body.(*autoscalingv1.Scale); ok {
				scale.Spec.Replicas = 2 // by now
			}
			return err
		},
		SubResourceUpdate: func(ctx context.Context, c client.Client, subResource string, object client.Object, options ...client.SubResourceUpdateOption) error {
			if subResource == "scale" {
				scaled = append(scaled, 0)
			}
			return c.SubResource(subResource).Update(ctx, object, options...)
		},
	})
	reconcileAt(t, r, time.Minute, 60)
	assert.Empty(t, scaled, "the shard has them already")
}

func TestScalingThatIsRefused(t *testing.T) {
	r, _ := newReconciler(t, planner{nodes: 60}, nil)
	setMode(t, r, v1alpha1.ModeDirect)
	live, ok := r.Client.(client.WithWatch)
	require.True(t, ok)
	r.Client = interceptor.NewClient(live, interceptor.Funcs{SubResourceGet: func(context.Context, client.Client, string, client.Object, client.Object, ...client.SubResourceGetOption) error {
		return apierrors.NewForbidden(appsv1.Resource("deployments/scale"), "a", errors.New("no"))
	}})
	_, err := reconcileMain(t, r)
	require.ErrorContains(t, err, "scale Deployment ksm-main-shard-0-of-3")
	condition := meta.FindStatusCondition(readMain(t, r).Status.Conditions, v1alpha1.ConditionAutoscaling)
	assert.Equal(t, "False Forbidden", string(condition.Status)+" "+condition.Reason)
}

// All switches, in an order that has each of them, while replicas are more than one.
func TestSwitchingModesChangesNoReplicas(t *testing.T) {
	const hpa, direct, none = v1alpha1.ModeHorizontalPodAutoscaler, v1alpha1.ModeDirect, v1alpha1.ModeNone
	r, _ := newReconciler(t, planner{}, nil)
	setMode(t, r, direct)
	replicas, _ := reconcileAt(t, r, 0, 90)
	require.Equal(t, []int32{2, 2, 2}, replicas)
	for i, mode := range []v1alpha1.AutoscalingMode{hpa, direct, none, direct, hpa, none, hpa} {
		setMode(t, r, mode)
		replicas, _ := reconcileAt(t, r, time.Duration(i)*time.Hour, 90)
		assert.Equal(t, []int32{2, 2, 2}, replicas, "%d: %s", i, mode)
		desired := 0
		if mode == hpa {
			desired = 3
		}
		assert.Equal(t, desired, autoscalerCount(t, r), "%d: %s", i, mode)
	}
}

func TestAnAutoscalerThatCannotBeDeletedKeepsDirectFromScaling(t *testing.T) {
	r, _ := newReconciler(t, planner{nodes: 45}, nil)
	_, err := reconcileMain(t, r)
	require.NoError(t, err)
	setMode(t, r, v1alpha1.ModeDirect)
	live, ok := r.Client.(client.WithWatch)
	require.True(t, ok)
	r.Client = interceptor.NewClient(live, interceptor.Funcs{Delete: func(context.Context, client.WithWatch, client.Object, ...client.DeleteOption) error {
		return errors.New("refused")
	}})
	r.Plans = planner{nodes: 90}
	_, err = reconcileMain(t, r)
	require.ErrorContains(t, err, "refused")
	assert.Equal(t, []int32{1, 1, 1}, deployedReplicas(t, r))
}

// While the number of shards changes, those that run go on following the nodes, beside those that are to replace them.
func TestDirectScalesBothPartitions(t *testing.T) {
	r, _ := newReconciler(t, planner{}, nil)
	setMode(t, r, v1alpha1.ModeDirect)
	reconcileAt(t, r, 0, 45)
	ksmScale := readMain(t, r)
	ksmScale.Spec.Sharding.ShardCount = 5
	require.NoError(t, r.Client.Update(t.Context(), ksmScale))
	replicas, _ := reconcileAt(t, r, time.Minute, 90)
	assert.Equal(t, []int32{2, 2, 2}, replicas)
	var first appsv1.Deployment
	require.NoError(t, r.Client.Get(t.Context(), client.ObjectKey{Namespace: "monitoring", Name: "ksm-main-shard-0-of-5"}, &first))
	assert.EqualValues(t, 2, observation.ReplicasOf(&first))
}

// Shards that are to be replaced get the HorizontalPodAutoscalers that they had none of.
func TestAutoscalersOfBothPartitionsAreMadeWhenTheModeChanges(t *testing.T) {
	r, _ := newReconciler(t, planner{}, nil)
	setMode(t, r, v1alpha1.ModeDirect)
	reconcileAt(t, r, 0, 45)
	ksmScale := readMain(t, r)
	ksmScale.Spec.Sharding.ShardCount = 5
	require.NoError(t, r.Client.Update(t.Context(), ksmScale))
	reconcileAt(t, r, time.Minute, 45)
	setMode(t, r, v1alpha1.ModeHorizontalPodAutoscaler)
	reconcileAt(t, r, 2*time.Minute, 45)
	assert.Equal(t, 4, autoscalerCount(t, r), "three of the old partition and the first of the new one")
}

func TestHistoriesEndWithTheirShards(t *testing.T) {
	r, _ := newReconciler(t, planner{}, nil)
	setMode(t, r, v1alpha1.ModeDirect)
	reconcileAt(t, r, 0, 45)
	require.Len(t, r.histories.all["main"], 3)
	require.NoError(t, r.Client.Delete(t.Context(), readMain(t, r)))
	_, err := reconcileMain(t, r)
	require.NoError(t, err)
	assert.Empty(t, r.histories.all)
}
