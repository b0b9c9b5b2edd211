package status

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/controller/partition"
)

// summary has the facts that the phase depends on.
type summary struct {
	// incomplete reports that no partition has a ready pod of each of its shards.
	incomplete bool
	// resharding reports that more than one partition runs.
	resharding bool
	// rollingOut reports that some shard replaces its pods, or waits for its turn to do so.
	rollingOut bool
	// scaling reports that the pods of some shard differ from the desired ones, or that a scale-up is paused.
	scaling bool
	// ready is the condition Ready.
	ready metav1.Condition
}

// phase summarizes a KSMScale in one word. The first row that matches counts. The table is also in docs/conditions.md.
func (s summary) phase() v1alpha1.Phase {
	switch {
	case s.incomplete:
		return v1alpha1.PhaseIncomplete
	case s.resharding:
		return v1alpha1.PhaseResharding
	case s.rollingOut:
		return v1alpha1.PhaseRollingOut
	case s.scaling || s.ready.Reason == v1alpha1.ReasonStarting:
		return v1alpha1.PhaseScaling
	case s.ready.Status != metav1.ConditionTrue:
		return v1alpha1.PhaseDegraded
	default:
		return v1alpha1.PhaseReady
	}
}

// summarize collects the facts for the phase.
func summarize(in conditionInput, conditions []metav1.Condition) summary {
	sharding := in.status.ShardingStatus
	scaling := !divided(in.targets, sharding)
	return summary{
		incomplete: len(uncovered(sharding)) > 0 && !partition.CoveredByOthers(in.Planned, in.Snapshot),
		resharding: len(sharding.Partitions) > 1,
		rollingOut: replacesPods(in) || !scaling && slices.ContainsFunc(in.Snapshot.Deployments, observation.IsUnobserved),
		scaling:    scaling || in.targets.PausedReplicas() > 0,
		ready:      *meta.FindStatusCondition(conditions, v1alpha1.ConditionReady),
	}
}

// replacesPods reports whether some shard replaces its pods, or waits for its turn to do so.
func replacesPods(in conditionInput) bool {
	return slices.ContainsFunc(in.Snapshot.Deployments, observation.IsRollingOut) || in.Snapshot.Outdated.Len() > 0
}
