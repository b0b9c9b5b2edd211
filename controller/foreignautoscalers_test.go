package controller

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
)

func TestForeignAutoscalersAreReportedAndNotFought(t *testing.T) {
	r, _ := newReconciler(t, planner{}, nil)
	setMode(t, r, v1alpha1.ModeDirect)
	reconcileAt(t, r, 0, 45)
	require.NoError(t, r.Client.Create(t.Context(), fixtures.ForeignAutoscaler(fixtures.Shard(0).Name())))
	require.NoError(t, r.Foreign.Poll(t.Context()))
	autoscaling := func() *metav1.Condition {
		return meta.FindStatusCondition(readMain(t, r).Status.Conditions, v1alpha1.ConditionAutoscaling)
	}

	replicas, _ := reconcileAt(t, r, time.Minute, 90)
	assert.Equal(t, []int32{1, 2, 2}, replicas, "its shard is left to it")
	assert.Equal(t, v1alpha1.ReasonForeignAutoscaler, autoscaling().Reason)
	assert.Contains(t, autoscaling().Message, "HorizontalPodAutoscaler own scales Deployment ksm-main-shard-0-of-3 as well")

	setMode(t, r, v1alpha1.ModeNone)
	reconcileAt(t, r, time.Minute, 90)
	assert.Equal(t, "True ManualScaling", string(autoscaling().Status)+" "+autoscaling().Reason)
	assert.Contains(t, autoscaling().Message, "HorizontalPodAutoscaler own scales Deployment ksm-main-shard-0-of-3")
}
