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
	// maxEventNote is the length in bytes that the API server accepts.
	maxEventNote = 1024
)

// writeStatus writes a status if it differs from the one there is, and then tells of it.
func (r *Reconciler) writeStatus(ctx context.Context, ksmScale *v1alpha1.KSMScale, status v1alpha1.KSMScaleStatus) error {
	status.LastUpdated = ksmScale.Status.LastUpdated
	if equality.Semantic.DeepEqual(ksmScale.Status, status) {
		return nil
	}
	status.LastUpdated = now(r.Clock)
	updated := ksmScale.DeepCopy()
	updated.Status = status
	if err := r.Client.Status().Update(ctx, updated); err != nil {
		return fmt.Errorf("write the status: %w", err)
	}
	r.recordTransition(updated, ksmScale.Status.Conditions)
	return nil
}

// externalMetrics is how a status reports an error of the registration.
func externalMetrics(err error) status.ExternalMetrics {
	state := status.ExternalMetrics{Err: err, Disabled: errors.Is(err, registration.ErrDisabled)}
	var failed registration.ReleaseError
	if errors.As(err, &failed) {
		state.ReleaseErr = failed.Err
	}
	return state
}

// recordTransition tells of a change of the Ready condition's status or reason, after it has been written.
func (r *Reconciler) recordTransition(ksmScale *v1alpha1.KSMScale, before []metav1.Condition) {
	was, is := meta.FindStatusCondition(before, v1alpha1.ConditionReady), meta.FindStatusCondition(ksmScale.Status.Conditions, v1alpha1.ConditionReady)
	if was != nil && was.Status == is.Status && was.Reason == is.Reason {
		return
	}
	r.Recorder.Eventf(ksmScale, nil, eventType(is, meta.IsStatusConditionTrue(before, v1alpha1.ConditionCovered)), is.Reason, eventAction, "%s", status.Shortened(is.Message, maxEventNote))
}

// eventType is Warning for what needs someone's attention: not for work under way, nor for shards that have never
// been covered, such as those that have only just been created.
func eventType(is *metav1.Condition, wereCovered bool) string {
	switch is.Reason {
	case v1alpha1.ReasonScaling, v1alpha1.ReasonResharding, v1alpha1.ReasonRollingOut, v1alpha1.ReasonPodsNotReady, v1alpha1.ReasonStarting:
		return corev1.EventTypeNormal
	case v1alpha1.ReasonShardsNotReady:
		if !wereCovered {
			return corev1.EventTypeNormal
		}
	}
	if is.Status == metav1.ConditionTrue {
		return corev1.EventTypeNormal
	}
	return corev1.EventTypeWarning
}
