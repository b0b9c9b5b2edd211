package controller

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
	"github.com/example/ksmscale/controller/fixtures/snapshots"
	"github.com/example/ksmscale/controller/observation"
)

// notBefore asks some time after the start, with that many nodes and replicas, how long after the start a shard may lose pods; 0 if that is
// not known.
func notBefore(t *testing.T, r *Reconciler, ksmScale *v1alpha1.KSMScale, after time.Duration, nodes int, replicas ...int32) time.Duration {
	t.Helper()
	r.Clock = clocktesting.NewFakePassiveClock(fixtures.Time.Add(after))
	planned, err := planner{nodes: nodes}.One(ksmScale)
	require.NoError(t, err)
	var observed observation.Snapshot
	for id, number := range replicas {
		observed.Deployments = append(observed.Deployments, snapshots.OwnedDeployment("main", int32(id), func(d *appsv1.Deployment) { d.Spec.Replicas = &number }))
	}
	at := r.scaleDownNotBefore(planned, observed)
	if at.IsZero() {
		return 0
	}
	return at.Sub(fixtures.Time)
}

func TestWhenAutoscalersMayRemovePods(t *testing.T) {
	r, ksmScale := &Reconciler{}, fixtures.KSMScale()
	assert.Zero(t, notBefore(t, r, ksmScale, 0, 300, 7, 7, 6), "nothing to remove")
	assert.Equal(t, 345*time.Second, notBefore(t, r, ksmScale, time.Minute, 90, 7, 7, 6), "a window after the fall, less the time between two decisions")
	assert.Equal(t, 345*time.Second, notBefore(t, r, ksmScale, 90*time.Second, 90, 7, 7, 6), "the time does not move")
	assert.Equal(t, 345*time.Second, notBefore(t, r, ksmScale, 2*time.Minute, 45, 7, 7, 6), "of the first fall")
	assert.Equal(t, 405*time.Second, notBefore(t, r, ksmScale, 361*time.Second, 45, 2, 2, 2), "of the second fall, after the first")
	assert.Equal(t, 405*time.Second, notBefore(t, r, ksmScale, 410*time.Second, 45, 2, 2, 2), "any moment")
	assert.Zero(t, notBefore(t, r, ksmScale, 421*time.Second, 45, 2, 2, 2), "due")

	r.recommended.forget("main")
	assert.Zero(t, notBefore(t, r, ksmScale, 422*time.Second, 45, 2, 2, 2), "a new leader has not seen the fall")
}

func TestNobodyKnowsWhenOthersRemovePods(t *testing.T) {
	r, ksmScale := &Reconciler{}, fixtures.KSMScale(func(k *v1alpha1.KSMScale) { k.Spec.Autoscaling = &v1alpha1.AutoscalingConfig{Mode: v1alpha1.ModeNone} })
	notBefore(t, r, ksmScale, 0, 90, 2, 2, 2)
	assert.Zero(t, notBefore(t, r, ksmScale, time.Minute, 45, 2, 2, 2))
}
