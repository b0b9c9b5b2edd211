package controller

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/completeness"
	"github.com/example/ksmscale/controller/fixtures"
	"github.com/example/ksmscale/controller/observation"
)

// losing has counts by which pods are missing.
type losing struct{ *measured }

func (losing) Completeness(string, int32) completeness.Result {
	return completeness.Result{Known: true, Resources: map[string]completeness.Missing{"pods": {Objects: 7}}}
}

// stays checks that a new leader writes nothing at first, where the last leader has left a condition with a reason.
func stays(t *testing.T, r *Reconciler, condition, reason string, newLeader func()) {
	t.Helper()
	_, err := reconcileMain(t, r)
	require.NoError(t, err)
	before := readMain(t, r)
	require.Equal(t, reason, meta.FindStatusCondition(before.Status.Conditions, condition).Reason)
	newLeader()
	_, err = reconcileMain(t, r)
	require.NoError(t, err)
	assert.Equal(t, before.ResourceVersion, readMain(t, r).ResourceVersion)
}

func TestObjectsExportedStaysUntilTheFirstPoll(t *testing.T) {
	r, _ := newReconciler(t, planner{nodes: 45}, nil)
	r.Sizing.Measurements = losing{&measured{}}
	stays(t, r, v1alpha1.ConditionObjectsExported, v1alpha1.ReasonObjectsMissing, func() {
		r.Sizing.Measurements = observation.NewMeasurements(r.Client, clocktesting.NewFakeClock(fixtures.Time), time.Minute, time.Minute, func() {})
	})
	assert.EqualValues(t, 7, *readMain(t, r).Status.MissingObjects)
}

func TestAutoscalingStaysUntilTheFirstPoll(t *testing.T) {
	for mode, reason := range map[v1alpha1.AutoscalingMode]string{
		v1alpha1.ModeHorizontalPodAutoscaler: v1alpha1.ReasonForeignAutoscaler,
		v1alpha1.ModeDirect:                  v1alpha1.ReasonForeignAutoscaler,
		v1alpha1.ModeNone:                    v1alpha1.ReasonManualScaling,
	} {
		t.Run(string(mode), func(t *testing.T) {
			r, recorder := newReconciler(t, planner{nodes: 45}, nil)
			setMode(t, r, mode)
			apiService := fixtures.RegisteredAPIService(fixtures.Adapter.Namespace, fixtures.Adapter.Name, apiregistrationv1.ConditionTrue)
			apiService.Name = v1alpha1.APIServiceName
			require.NoError(t, r.Client.Create(t.Context(), apiService))
			require.NoError(t, r.Client.Create(t.Context(), fixtures.ForeignAutoscaler(fixtures.Shard(0).Name())))
			require.NoError(t, r.Foreign.Poll(t.Context()))
			stays(t, r, v1alpha1.ConditionAutoscaling, reason, func() {
				r.Foreign = observation.NewForeignAutoscalers(r.Client, r.Client, clocktesting.NewFakeClock(fixtures.Time), func() {})
			})
			assert.Len(t, recorder.Events, 1)
		})
	}
}

func TestSizedStaysUntilTheFirstPoll(t *testing.T) {
	r, _ := newReconciler(t, planner{nodes: 45}, nil)
	ksmScale := readMain(t, r)
	ksmScale.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")}
	require.NoError(t, r.Client.Update(t.Context(), ksmScale))
	autoscalers := fake.NewClientBuilder().WithScheme(r.Client.Scheme()).Build()
	require.NoError(t, autoscalers.Create(t.Context(), fixtures.VerticalAutoscaler(fixtures.Shard(0).Name())))
	newLeader := func() {
		kinds := fixtures.InstalledKinds{observation.VerticalAutoscalerKind}
		r.VerticalAutoscalers = observation.NewVerticalAutoscalers(kinds, r.Client, autoscalers, clocktesting.NewFakeClock(fixtures.Time), func() {})
	}
	newLeader()
	require.NoError(t, r.VerticalAutoscalers.Poll(t.Context()))
	stays(t, r, v1alpha1.ConditionSized, v1alpha1.ReasonForeignVerticalPodAutoscaler, newLeader)
}

// Autoscalers of others are listed at an interval, and the first KSMScale of a namespace may be created in between.
func TestDirectWaitsForAPollThatCoversItsNamespace(t *testing.T) {
	r, _ := newReconciler(t, planner{}, nil)
	changed := newChanges()
	r.Foreign = observation.NewForeignAutoscalers(r.Client, r.Client, clocktesting.NewFakeClock(fixtures.Time), changed.notify)
	require.NoError(t, r.Client.Delete(t.Context(), readMain(t, r)))
	require.NoError(t, r.Foreign.Poll(t.Context()))
	require.Len(t, changed, 1)
	<-changed
	require.NoError(t, r.Client.Create(t.Context(), fixtures.KSMScale(func(k *v1alpha1.KSMScale) { k.UID = "new" })))
	setMode(t, r, v1alpha1.ModeDirect)
	require.NoError(t, r.Client.Create(t.Context(), fixtures.ForeignAutoscaler(fixtures.Shard(0).Name())))
	conditionOf := func() string {
		condition := meta.FindStatusCondition(readMain(t, r).Status.Conditions, v1alpha1.ConditionAutoscaling)
		return string(condition.Status) + " " + condition.Reason
	}

	replicas, _ := reconcileAt(t, r, 0, 90)
	assert.Equal(t, []int32{1, 1, 1}, replicas)
	assert.Equal(t, "Unknown Starting", conditionOf())
	before := readMain(t, r)
	replicas, _ = reconcileAt(t, r, time.Second, 90)
	assert.Equal(t, []int32{1, 1, 1}, replicas)
	assert.Equal(t, before.ResourceVersion, readMain(t, r).ResourceVersion)

	require.NoError(t, r.Foreign.Poll(t.Context()))
	require.Len(t, changed, 1)
	<-changed
	replicas, _ = reconcileAt(t, r, 10*time.Second, 90)
	assert.Equal(t, []int32{1, 2, 2}, replicas)
	assert.Equal(t, "False ForeignAutoscaler", conditionOf())
}
