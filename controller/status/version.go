package status

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/observation"
)

// shardingBugs are those of kube-state-metrics that make shards export less than they should, or cost more: from a
// version, if any, until another.
var shardingBugs = []struct{ from, until, bug string }{
	{"", "2.20.0", "a shard that lists again forgets all but its share of the first 500 objects (kubernetes/kube-state-metrics#3065)"},
	{"", "2.20.0", "each shard keeps the objects of all in memory (#3003)"},
	{"2.19.0", "2.19.1", "a shard that lists by watching loses the bookmark that ends the list (#2973)"},
}

// bugsOf are the bugs in sharding that a version is known to have.
func bugsOf(said string) ([]string, error) {
	// Whatever follows the numbers is left out: a candidate for a release has what the release has.
	parsed, err := version.ParseGeneric(said)
	if err != nil {
		return nil, err
	}
	var bugs []string
	for _, bug := range shardingBugs {
		since := bug.from == "" || parsed.AtLeast(version.MustParseGeneric(bug.from))
		if since && parsed.LessThan(version.MustParseGeneric(bug.until)) {
			bugs = append(bugs, bug.bug)
		}
	}
	return bugs, nil
}

// versionSupported is False while some shard runs a kube-state-metrics that is known to shard wrongly. It is a warning: Ready
// is not derived from it.
func versionSupported(in conditionInput) metav1.Condition {
	is := metav1.Condition{Type: v1alpha1.ConditionVersionSupported, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonNoKnownBugs}
	if in.Planned.Total == 1 {
		is.Message = "There is one shard, which bugs in sharding do not matter to"
		return is
	}
	bugs, none := knownBugs(in.Snapshot.Versions.Known)
	unknown := func(message string) metav1.Condition {
		is.Status, is.Reason, is.Message = metav1.ConditionUnknown, v1alpha1.ReasonVersionUnknown, message
		return is
	}
	switch said := in.Snapshot.Versions; {
	case observation.WhyVersionIsUnreadable(&in.KSMScale.Spec.Metrics) != "":
		return unknown(fmt.Sprintf("kube-state-metrics does not tell the controller its version, because %s: see that it is v2.20.0 or newer",
			observation.WhyVersionIsUnreadable(&in.KSMScale.Spec.Metrics)))
	case len(bugs) > 0:
		version := slices.Min(slices.Collect(maps.Keys(bugs)))
		is.Status, is.Reason = metav1.ConditionFalse, v1alpha1.ReasonKnownBugs
		is.Message = fmt.Sprintf("kube-state-metrics %s runs, in which %s: set spec.monitorImage to v2.20.0 or newer", version, strings.Join(bugs[version], "; "))
	case none != "":
		return unknown(fmt.Sprintf("A kube-state-metrics says that its version is %q, which is none", Shortened(none, 64)))
	case said.Pending && !said.Silent && saidOfThis(in.KSMScale) != nil:
		return *saidOfThis(in.KSMScale)
	case said.Pending || said.Silent || len(said.Known) == 0:
		return unknown("Not every kube-state-metrics has said its version: it is asked once it is ready, at its pod's port 8081")
	default:
		is.Message = fmt.Sprintf("kube-state-metrics %s runs, and is not known for bugs in sharding", strings.Join(said.Known, ", "))
	}
	return is
}

// knownBugs are the bugs of each version that has any, and what has been said to be a version and is none.
func knownBugs(versions []string) (bugs map[string][]string, none string) {
	bugs = map[string][]string{}
	for _, said := range versions {
		found, err := bugsOf(said)
		if err != nil {
			none = said
		}
		if len(found) > 0 {
			bugs[said] = found
		}
	}
	return bugs, none
}

// saidOfThis is the condition that there is, if it is about the KSMScale as it is now: it stays while a controller that has
// become the leader, or a rollout, has the versions asked anew.
func saidOfThis(ksmScale *v1alpha1.KSMScale) *metav1.Condition {
	is := meta.FindStatusCondition(ksmScale.Status.Conditions, v1alpha1.ConditionVersionSupported)
	if is == nil || is.ObservedGeneration != ksmScale.Generation {
		return nil
	}
	return is
}
