package controller

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/plans"
	"github.com/example/ksmscale/scaling"
)

// maxConditionMessage keeps a message readable; the API server accepts 32768 bytes.
const maxConditionMessage = 2048

// conditionInput is all that conditions are made from.
type conditionInput struct {
	ksmScale *v1alpha1.KSMScale
	// planned is what the nodes ask for, and targets what the shards are to have for now.
	planned, targets plans.Planned
	observed         observed
	// resharding is what was decided about the partitions.
	resharding Decision
	// status is complete but for its conditions.
	status v1alpha1.KSMScaleStatus
	failed failures
	// registrationErr is why external metrics cannot be registered, if so.
	registrationErr error
	// adapter is where external metrics should be registered to be served.
	adapter ServiceReference
	// kinds are the kinds of nodes that there are.
	kinds []scaling.NodeKind
	now   metav1.Time
}

// conditions are those of a KSMScale: each but Ready looks at one side of it, and Ready is derived from those that
// are no mere warnings. Transition times of conditions whose status stays are kept.
func conditions(in conditionInput) []metav1.Condition {
	// The causes come before what they cause: a pod without a node leaves its shard uncovered.
	scheduling := schedulable(in)
	parts := []metav1.Condition{progressing(in, scheduling.Status), scheduling, covered(in), autoscaling(in)}
	switch before := meta.FindStatusCondition(in.ksmScale.Status.Conditions, v1alpha1.ConditionMonitoring); {
	case in.observed.monitoring.known:
		parts = append(parts, monitored(in))
	case before != nil:
		parts = append(parts, *before)
	}
	all := slices.Clone(in.ksmScale.Status.Conditions)
	for _, condition := range append(parts, ready(in, parts), versionSupported(in), evictable(in)) {
		condition.ObservedGeneration = in.ksmScale.Generation
		condition.LastTransitionTime = in.now
		condition.Message = shortened(condition.Message, maxConditionMessage)
		meta.SetStatusCondition(&all, condition)
	}
	return all
}

// unlisted is a condition that depends on objects which the controller has not listed yet. The condition from before stays while the
// first look is under way, because each new leader starts with it. If that look fails, the condition gets a status.
func unlisted(in conditionInput, conditionType string, failed metav1.ConditionStatus, message string, err error) metav1.Condition {
	before := meta.FindStatusCondition(in.ksmScale.Status.Conditions, conditionType)
	switch {
	case err == nil && before != nil:
		return *before
	case err == nil:
		return metav1.Condition{Type: conditionType, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonStarting, Message: message}
	default:
		return metav1.Condition{Type: conditionType, Status: failed, Reason: listFailure(err), Message: message + ": " + err.Error()}
	}
}

func listFailure(err error) string {
	if apierrors.IsForbidden(err) {
		return v1alpha1.ReasonForbidden
	}
	return v1alpha1.ReasonListFailed
}

// shortened is a text of at most that many bytes, cut between characters: the API server would replace half a one.
func shortened(text string, length int) string {
	if len(text) <= length {
		return text
	}
	const cut = "..."
	return strings.ToValidUTF8(text[:length-len(cut)], "") + cut
}

// ready is derived from the other conditions: the first that is False gives its reason and message; if none is, work
// under way does, and then the first that is Unknown.
func ready(in conditionInput, parts []metav1.Condition) metav1.Condition {
	because := func(status metav1.ConditionStatus, part metav1.Condition) metav1.Condition {
		return metav1.Condition{Type: v1alpha1.ConditionReady, Status: status, Reason: part.Reason, Message: part.Message}
	}
	for _, part := range parts {
		if part.Status == metav1.ConditionFalse {
			return because(part.Status, part)
		}
	}
	if work := meta.FindStatusCondition(parts, v1alpha1.ConditionProgressing); work.Reason != v1alpha1.ReasonComplete {
		return because(metav1.ConditionFalse, *work)
	}
	for _, part := range parts {
		if part.Status != metav1.ConditionTrue {
			return because(part.Status, part)
		}
	}
	is := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue}
	calculated := fmt.Sprintf("%d nodes / %d nodes per monitor = %d replicas calculated",
		in.planned.Cluster.Nodes, in.ksmScale.Spec.NodesPerMonitor, in.planned.Calculated)
	switch {
	case in.targets.Desired != in.planned.Desired && in.ksmScale.Spec.AutoscalingMode() != v1alpha1.ModeNone:
		is.Reason = v1alpha1.ReasonWithinTolerance
		is.Message = fmt.Sprintf("%s; %d run, which is within the tolerance of %d", calculated, in.targets.Desired, in.planned.Desired)
	case in.targets.Desired != in.planned.Desired:
		is.Reason = v1alpha1.ReasonManualScaling
		is.Message = fmt.Sprintf("%s, of which %d are recommended; %d run, as spec.autoscaling.mode is None", calculated, in.planned.Desired, in.targets.Desired)
	case in.planned.Bound == scaling.AtMinimum:
		is.Reason, is.Message = v1alpha1.ReasonAtMinimum, fmt.Sprintf("%s; the minimum of %d runs", calculated, in.planned.Desired)
	case in.planned.Bound == scaling.AtMaximum:
		is.Reason, is.Message = v1alpha1.ReasonAtMaximum, fmt.Sprintf("%s; the maximum of %d runs", calculated, in.planned.Desired)
	default:
		is.Reason, is.Message = v1alpha1.ReasonAsPlanned, calculated+" and running"
	}
	return is
}

// withoutZones tells whether replicas should be spread over zones, and there are none.
func withoutZones(in conditionInput) bool {
	return in.ksmScale.Spec.Strategy() == v1alpha1.ZoneAware && scaling.WithoutZones(in.planned.Cluster)
}

func covered(in conditionInput) metav1.Condition {
	shards := uncovered(in.status.ShardingStatus)
	if len(shards) > 0 && coveredByOthers(in.planned, in.observed) {
		return metav1.Condition{
			Type: v1alpha1.ConditionCovered, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonPreviousShardsReady,
			Message: "Each of the shards from before has a ready pod",
		}
	}
	if len(shards) == 0 {
		return metav1.Condition{
			Type: v1alpha1.ConditionCovered, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonAllShardsReady,
			Message: fmt.Sprintf("Each of %s has a ready pod", plural(len(in.planned.Shards), "shard", "shards")),
		}
	}
	return metav1.Condition{
		Type: v1alpha1.ConditionCovered, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonShardsNotReady,
		Message: fmt.Sprintf("%s of %d without a ready pod: %s",
			plural(len(shards), "shard", "shards"), len(in.planned.Shards), strings.Join(shards, ", ")),
	}
}

func plural(count int, one, many string) string {
	if count == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", count, many)
}

// byName orders objects, so that messages about the first of them repeat exactly.
func byName[T any, P interface {
	*T
	GetName() string
}](objects []T) []*T {
	ordered := make([]*T, len(objects))
	for i := range objects {
		ordered[i] = &objects[i]
	}
	slices.SortFunc(ordered, func(a, b *T) int { return cmp.Compare(P(a).GetName(), P(b).GetName()) })
	return ordered
}
