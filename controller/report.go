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
	"github.com/example/ksmscale/controller/partition"
	"github.com/example/ksmscale/controller/registration"
	"github.com/example/ksmscale/controller/status"
)

const (
	// eventAction is the action of all events of a KSMScale.
	eventAction = "Reconcile"
	// maxEventNote is the longest note in bytes that the API server accepts.
	maxEventNote = 1024
)

// writeStatus writes a status if it differs from the previous status, and then records events.
func (r *Reconciler) writeStatus(ctx context.Context, ksmScale *v1alpha1.KSMScale, decision partition.Decision, computed v1alpha1.KSMScaleStatus) error {
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
	r.recordTransition(updated, ksmScale.Status.Conditions, r.recordReshard(updated, decision, ksmScale.Status.ShardingStatus))
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

// reshardSteps has the reason of the last event about a change of the number of shards, by KSMScale. After a loss, a new leader repeats the
// event of the step under way.
type reshardSteps struct {
	memories[string]
}

// recordReshard records an event for each step of a change of the number of shards, and for its end. It returns the reason of that event, or
// an empty text. The action has the number of shards, because events with the same reason and action are merged to the first of them.
func (r *Reconciler) recordReshard(ksmScale *v1alpha1.KSMScale, decision partition.Decision, before *v1alpha1.ShardingStatus) (recorded string) {
	reason, note := status.ReshardEvent(decision, before, ksmScale.Status.ShardingStatus)
	r.reshardSteps.renew(ksmScale.Name, func(last string) string {
		if reason != last {
			recorded = reason
		}
		return reason
	})
	if recorded != "" {
		r.Recorder.Eventf(ksmScale, nil, corev1.EventTypeNormal, reason, fmt.Sprintf("ReshardTo%d", ksmScale.Status.ShardingStatus.TotalShards), "%s", note)
	}
	return recorded
}

// recordTransition records an event after the status or the reason of the condition Ready has changed. It skips a reason that already has an
// event.
func (r *Reconciler) recordTransition(ksmScale *v1alpha1.KSMScale, before []metav1.Condition, recorded string) {
	previous, current := meta.FindStatusCondition(before, v1alpha1.ConditionReady), meta.FindStatusCondition(ksmScale.Status.Conditions, v1alpha1.ConditionReady)
	if previous != nil && previous.Status == current.Status && previous.Reason == current.Reason || current.Reason == recorded {
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
