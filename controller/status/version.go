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
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/controller/observation"
)

// versionCondition is False while some shard runs a kube-state-metrics with known bugs in sharding. This condition is a warning and does
// not affect Ready.
func versionCondition(in conditionInput) metav1.Condition {
	condition := metav1.Condition{Type: v1alpha1.ConditionVersionSupported, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonNoKnownBugs}
	if in.Planned.Total == 1 {
		condition.Message = "There is one shard, so bugs in sharding do not matter"
		return condition
	}
	bugs, malformed := knownBugs(in.Snapshot.Versions.Known)
	unknown := func(message string) metav1.Condition {
		condition.Status, condition.Reason, condition.Message = metav1.ConditionUnknown, v1alpha1.ReasonVersionUnknown, message
		return condition
	}
	switch versions := in.Snapshot.Versions; {
	case observation.WhyVersionIsUnreadable(&in.KSMScale.Spec.Metrics) != "":
		return unknown(fmt.Sprintf("The controller cannot read the version of kube-state-metrics, because %s: make sure that it is v2.20.0 or newer",
			observation.WhyVersionIsUnreadable(&in.KSMScale.Spec.Metrics)))
	case len(bugs) > 0:
		oldest := slices.Min(slices.Collect(maps.Keys(bugs)))
		condition.Status, condition.Reason = metav1.ConditionFalse, v1alpha1.ReasonKnownBugs
		condition.Message = fmt.Sprintf("kube-state-metrics %s has known bugs in sharding (%s): set spec.monitorImage to v2.20.0 or newer", oldest, strings.Join(bugs[oldest], "; "))
	case malformed != "":
		return unknown(fmt.Sprintf("A kube-state-metrics reports version %q, which is not a version: set spec.monitorImage to an official image", Shortened(malformed, 64)))
	case versions.Pending && !versions.Silent && currentVersionCondition(in.KSMScale) != nil:
		return *currentVersionCondition(in.KSMScale)
	case versions.Pending || versions.Silent || len(versions.Known) == 0:
		return unknown("The controller has not read the version of every kube-state-metrics. It reads each version from port 8081 of a ready pod: if this lasts, let the controller reach that port")
	default:
		condition.Message = fmt.Sprintf("kube-state-metrics %s has no known bugs in sharding", strings.Join(versions.Known, ", "))
	}
	return condition
}

// runningVersion returns the versions of kube-state-metrics that run, as the pods report them. The previous versions stay while a new leader
// reads them again. If no pod can be read, the tag of the image stands in for the version.
func runningVersion(in Input) string {
	versions := in.Snapshot.Versions
	switch before := in.KSMScale.Status.Version; {
	case versions.Pending && !versions.Silent && before != "" && in.KSMScale.Status.ObservedGeneration == in.KSMScale.Generation:
		return before
	case len(versions.Known) > 0:
		return Shortened(strings.Join(versions.Known, ","), v1alpha1.MaxVersionLength)
	default:
		return tagVersion(in.KSMScale)
	}
}

// tagVersion returns the version that the tag of the image names; empty if it names none.
func tagVersion(ksmScale *v1alpha1.KSMScale) string {
	tag := objects.ImageVersion(ksmScale.Spec.MonitorImage)
	if _, err := version.ParseGeneric(tag); err != nil {
		return ""
	}
	return tag
}

// knownBugs returns the bugs of each version that has any, and the last text that is not a version.
func knownBugs(versions []string) (bugs map[string][]string, malformed string) {
	bugs = map[string][]string{}
	for _, running := range versions {
		known, err := bugsOf(running)
		if err != nil {
			malformed = running
		}
		if len(known) > 0 {
			bugs[running] = known
		}
	}
	return bugs, malformed
}

// bugsOf returns the known bugs in sharding of a version.
func bugsOf(running string) ([]string, error) {
	// ParseGeneric ignores a suffix, so a release candidate counts as its release.
	parsed, err := version.ParseGeneric(running)
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

// shardingBugs are bugs of kube-state-metrics by which shards export fewer objects or use more memory. Each bug affects the versions
// from one, if set, until another.
var shardingBugs = []struct{ from, until, bug string }{
	{"", "2.20.0", "a shard that lists again keeps only its objects among the first 500 (kubernetes/kube-state-metrics#3065)"},
	{"", "2.20.0", "each shard keeps the objects of all shards in memory (#3003)"},
	{"2.19.0", "2.19.1", "a shard that lists by a watch loses the bookmark that ends the list (#2973)"},
}

// currentVersionCondition returns the existing condition if it describes the current spec, or nil. That condition stays while a new
// leader reads the versions again, and while a rollout replaces the pods.
func currentVersionCondition(ksmScale *v1alpha1.KSMScale) *metav1.Condition {
	condition := meta.FindStatusCondition(ksmScale.Status.Conditions, v1alpha1.ConditionVersionSupported)
	if condition == nil || condition.ObservedGeneration != ksmScale.Generation {
		return nil
	}
	return condition
}
