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
	if message := unknownResources(in); message != "" {
		condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, v1alpha1.ReasonUnknownResources, message
		return condition
	}
	if in.Planned.Total == 1 {
		condition.Message = "There is one shard, so bugs in sharding do not matter"
		return condition
	}
	bugs, malformed := knownBugs(in.Snapshot.Versions.Known)
	switch versions := in.Snapshot.Versions; {
	case observation.WhyVersionIsUnreadable(&in.KSMScale.Spec.Metrics) != "":
		return versionByTag(in, "The controller cannot read the version of kube-state-metrics, because "+observation.WhyVersionIsUnreadable(&in.KSMScale.Spec.Metrics),
			"make sure that it is v2.20.0 or newer")
	case len(bugs) > 0:
		oldest := slices.MinFunc(slices.Sorted(maps.Keys(bugs)), compareVersions)
		return withBugs(oldest, bugs[oldest])
	case malformed != "":
		return versionUnknown(fmt.Sprintf("A kube-state-metrics reports version %q, which is not a version: set spec.monitorImage to an official image", Shortened(malformed, 64)))
	case versions.Pending && !versions.Silent && currentVersionCondition(in.KSMScale) != nil:
		return *currentVersionCondition(in.KSMScale)
	case versions.Pending || versions.Silent || len(versions.Known) == 0:
		return versionByTag(in, "The controller has not read the version of every kube-state-metrics", "if this lasts, let the controller reach port 8081 of ready pods, or set spec.monitorImage to an image whose tag is its version")
	default:
		condition.Message = fmt.Sprintf("kube-state-metrics %s has no known bugs in sharding", strings.Join(versions.Known, ", "))
	}
	return condition
}

// compareVersions orders versions by their numbers, because v2.10.0 is newer than v2.9.0.
func compareVersions(a, b string) int {
	// Only a valid version has known bugs.
	order, _ := version.MustParseGeneric(a).Compare(b)
	return order
}

// versionByTag judges by the tag of the image, where the pods do not report a version. The other arguments are the reason and the fix.
func versionByTag(in conditionInput, why, fix string) metav1.Condition {
	tag := tagVersion(in.KSMScale)
	if tag == "" {
		return versionUnknown(why + ": " + fix)
	}
	condition := metav1.Condition{
		Type: v1alpha1.ConditionVersionSupported, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonNoKnownBugs,
		Message: fmt.Sprintf("kube-state-metrics %s has no known bugs in sharding", tag),
	}
	if known, err := bugsOf(tag); err == nil && len(known) > 0 {
		condition = withBugs(tag, known)
	}
	condition.Message += ". This is by the tag of spec.monitorImage, because " + lowered(why)
	return condition
}

func withBugs(running string, bugs []string) metav1.Condition {
	return metav1.Condition{
		Type: v1alpha1.ConditionVersionSupported, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonKnownBugs,
		Message: fmt.Sprintf("kube-state-metrics %s has known bugs in sharding (%s): set spec.monitorImage to v2.20.0 or newer", running, strings.Join(bugs, "; ")),
	}
}

func versionUnknown(message string) metav1.Condition {
	return metav1.Condition{Type: v1alpha1.ConditionVersionSupported, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonVersionUnknown, Message: message}
}

// lowered returns a sentence that begins with "The" for the middle of another one.
func lowered(sentence string) string { return strings.Replace(sentence, "The ", "the ", 1) }

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

// newestTested is the newest version of kube-state-metrics that is tested.
const newestTested = "v2.20.0"

// unknownResources explains which resources keep kube-state-metrics from starting; empty if there are none. A version that is newer than the
// tested ones may know more resources.
func unknownResources(in conditionInput) string {
	unknown := objects.UnknownResources(in.KSMScale)
	tag, err := version.ParseGeneric(objects.ImageVersion(in.KSMScale.Spec.MonitorImage))
	if len(unknown) == 0 || err == nil && version.MustParseGeneric(newestTested).LessThan(tag) {
		return ""
	}
	return fmt.Sprintf("kube-state-metrics up to %s does not know resource %s and does not start with it: remove it from spec.metrics.resources, or set spec.monitorImage to a newer version that knows it",
		newestTested, strings.Join(unknown, ", "))
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
