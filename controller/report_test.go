package controller

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/registration"
	"github.com/example/ksmscale/controller/status"
)

func TestEventTypes(t *testing.T) {
	for _, test := range []struct {
		reason      string
		status      metav1.ConditionStatus
		wereCovered bool
		want        string
	}{
		{v1alpha1.ReasonAsPlanned, metav1.ConditionTrue, true, corev1.EventTypeNormal},
		{v1alpha1.ReasonScaling, metav1.ConditionFalse, true, corev1.EventTypeNormal},
		{v1alpha1.ReasonPodsNotReady, metav1.ConditionFalse, true, corev1.EventTypeNormal},
		{v1alpha1.ReasonShardsNotReady, metav1.ConditionFalse, false, corev1.EventTypeNormal},
		{v1alpha1.ReasonShardsNotReady, metav1.ConditionFalse, true, corev1.EventTypeWarning},
		{v1alpha1.ReasonForbidden, metav1.ConditionFalse, false, corev1.EventTypeWarning},
	} {
		assert.Equal(t, test.want, eventType(&metav1.Condition{Status: test.status, Reason: test.reason}, test.wereCovered), "%+v", test)
	}
}

func TestErrorsOfTheRegistrationReachTheStatus(t *testing.T) {
	refused := errors.New("refused")
	wrapped := fmt.Errorf("wrapped: %w", registration.ReleaseError{Err: refused})
	assert.Equal(t, status.ExternalMetrics{Err: wrapped, ReleaseErr: refused}, externalMetrics(wrapped))
	assert.Equal(t, status.ExternalMetrics{Err: registration.ErrDisabled, Disabled: true}, externalMetrics(registration.ErrDisabled))
	assert.Equal(t, status.ExternalMetrics{Err: refused}, externalMetrics(refused))
	assert.Equal(t, status.ExternalMetrics{}, externalMetrics(nil))
}
