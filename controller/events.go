package controller

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/status"
)

const (
	// eventAction is the action of all events of a KSMScale.
	eventAction = "Reconcile"
	// maxEventNote is the length in bytes that the API server accepts.
	maxEventNote = 1024
)

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
