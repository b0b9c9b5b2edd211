package status

import (
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/plans"
)

// maxConditionMessage keeps a message readable. The API server accepts 32768 bytes.
const maxConditionMessage = 2048

// conditionInput is the input of every condition.
type conditionInput struct {
	Input
	// targets is the plan with the replicas that the shards should have for now.
	targets plans.Planned
	// status is complete except for its conditions and its phase.
	status v1alpha1.KSMScaleStatus
}

// allConditions returns all conditions of a KSMScale. Each condition except Ready covers one aspect, and Ready is folded from the conditions
// that are no warnings. A condition keeps its transition time while its status stays the same.
func allConditions(in conditionInput) []metav1.Condition {
	// A cause comes before its effect: a pod without a node leaves its shard uncovered.
	scheduling, autoscaling := schedulableCondition(in), autoscalingCondition(in)
	parts := []metav1.Condition{progressingCondition(in, scheduling.Status, autoscaling.Status), scheduling, coveredCondition(in), autoscaling}
	switch before := meta.FindStatusCondition(in.KSMScale.Status.Conditions, v1alpha1.ConditionMonitoring); {
	case in.Snapshot.Monitoring.Known:
		parts = append(parts, monitoringCondition(in))
	case before != nil:
		parts = append(parts, *before)
	}
	exported := exportedConditions(in)
	ready := readyCondition(in, slices.Concat(parts, onlyFalse(exported)))
	computed := append(parts, ready, versionCondition(in), evictableCondition(in))
	computed = append(computed, slices.Concat(exported, sizedConditions(in), scrapableConditions(in))...)
	// A condition that is no longer computed is removed from the status.
	all := slices.DeleteFunc(slices.Clone(in.KSMScale.Status.Conditions), func(before metav1.Condition) bool {
		return meta.FindStatusCondition(computed, before.Type) == nil
	})
	for _, condition := range computed {
		condition.ObservedGeneration = in.KSMScale.Generation
		condition.LastTransitionTime = in.Now
		condition.Message = Shortened(condition.Message, maxConditionMessage)
		meta.SetStatusCondition(&all, condition)
	}
	return all
}

// unlisted returns a condition that depends on objects which the controller has not listed yet. The previous condition stays until the
// first list ends, because every new leader starts with such a list. A failed list sets the status of the condition.
func unlisted(in conditionInput, conditionType string, failed metav1.ConditionStatus, message string, err error) metav1.Condition {
	before := meta.FindStatusCondition(in.KSMScale.Status.Conditions, conditionType)
	switch {
	case err == nil && before != nil:
		return *before
	case err == nil:
		return metav1.Condition{Type: conditionType, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonStarting, Message: message}
	default:
		return metav1.Condition{Type: conditionType, Status: failed, Reason: listFailure(err), Message: message + ": " + err.Error()}
	}
}

// unnoticed completes the message of a condition that goes by an older list, because the last list has failed; empty without a failure.
func unnoticed(objects string, err error) string {
	if err == nil {
		return ""
	}
	return fmt.Sprintf("; the controller cannot list %s, so it does not notice a new one: %v", objects, err)
}

// listFailure is the reason of a condition after a list has failed.
func listFailure(err error) string {
	if apierrors.IsForbidden(err) {
		return v1alpha1.ReasonForbidden
	}
	return v1alpha1.ReasonListFailed
}

// Shortened cuts a text to a number of bytes. It cuts between characters, because the API server replaces a partial character.
func Shortened(text string, length int) string {
	if len(text) <= length {
		return text
	}
	const cut = "..."
	return strings.ToValidUTF8(text[:length-len(cut)], "") + cut
}

// plural is a count with the right form of a noun.
func plural(count int, one, many string) string {
	if count == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", count, many)
}
