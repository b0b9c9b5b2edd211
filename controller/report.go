package controller

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/registration"
	"github.com/example/ksmscale/controller/status"
)

const (
	// eventAction is the action of all events of a KSMScale.
	eventAction = "Reconcile"
	// maxEventNote is the longest note in bytes that the API server accepts.
	maxEventNote = 1024
)

// writeStatus writes a status if it differs from the previous status, and then records an event.
func (r *Reconciler) writeStatus(ctx context.Context, ksmScale *v1alpha1.KSMScale, computed v1alpha1.KSMScaleStatus) error {
	computed.LastUpdated = ksmScale.Status.LastUpdated
	if equality.Semantic.DeepEqual(ksmScale.Status, computed) {
		return nil
	}
	computed.LastUpdated = wholeSeconds(r.Clock)
	updated := ksmScale.DeepCopy()
	updated.Status = computed
	if err := r.Client.Status().Update(ctx, updated); err != nil {
		return fmt.Errorf("write the status: %w", err)
	}
	r.recordTransition(updated, ksmScale.Status.Conditions)
	return nil
}

// externalMetrics converts the error of the registration for the status.
func externalMetrics(err error) status.ExternalMetrics {
	state := status.ExternalMetrics{Err: err, Disabled: errors.Is(err, registration.ErrDisabled)}
	if failed, ok := errors.AsType[registration.ReleaseError](err); ok {
		state.ReleaseErr = failed.Err
	}
	return state
}

// recordTransition records an event after the status or the reason of the condition Ready has changed.
func (r *Reconciler) recordTransition(ksmScale *v1alpha1.KSMScale, before []metav1.Condition) {
	previous, current := meta.FindStatusCondition(before, v1alpha1.ConditionReady), meta.FindStatusCondition(ksmScale.Status.Conditions, v1alpha1.ConditionReady)
	if previous != nil && previous.Status == current.Status && previous.Reason == current.Reason {
		return
	}
	r.Recorder.Eventf(ksmScale, nil, eventType(current, meta.IsStatusConditionTrue(before, v1alpha1.ConditionCovered)), current.Reason, eventAction, "%s", status.Shortened(current.Message, maxEventNote))
}

// eventType is Warning for a condition that needs attention. Work under way is Normal, and so are shards that have never been covered, such
// as new shards.
func eventType(ready *metav1.Condition, wereCovered bool) string {
	switch ready.Reason {
	case v1alpha1.ReasonScaling, v1alpha1.ReasonResharding, v1alpha1.ReasonRollingOut, v1alpha1.ReasonPodsNotReady, v1alpha1.ReasonStarting:
		return corev1.EventTypeNormal
	case v1alpha1.ReasonShardsNotReady:
		if !wereCovered {
			return corev1.EventTypeNormal
		}
	}
	if ready.Status == metav1.ConditionTrue {
		return corev1.EventTypeNormal
	}
	return corev1.EventTypeWarning
}
