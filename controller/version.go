package controller

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/scaling"
	"github.com/example/ksmscale/telemetry"
)

const (
	// firstVersionInterval is how long a kube-state-metrics that does not say its version is left alone. It is doubled each
	// time, until it is versionInterval.
	firstVersionInterval = 10 * time.Second
	versionInterval      = 10 * time.Minute
)

// shardingBugs are those of kube-state-metrics that make shards export less than they should, or cost more: from a
// version, if any, until another.
var shardingBugs = []struct{ from, until, bug string }{
	{"", "2.20.0", "a shard that lists again forgets all but its share of the first 500 objects (kubernetes/kube-state-metrics#3065)"},
	{"", "2.20.0", "each shard keeps the objects of all in memory (#3003)"},
	{"2.19.0", "2.19.1", "a shard that lists by watching loses the bookmark that ends the list (#2973)"},
}

// said is what the kube-state-metrics of pods have said of their versions.
type said struct {
	// versions are those known, in order.
	versions []string
	// asking tells whether some image is being asked for the first time, and silent whether some image has not answered.
	asking, silent bool
	// again is after how long to look whether to ask again; 0 if all are known.
	again time.Duration
}

// Versions has what each image of kube-state-metrics that runs says of its version. An image's tag may say something
// else, but all containers of an image are the same, so that one of them is asked. Create it with NewVersions.
type Versions struct {
	clock  clock.PassiveClock
	read   func(ctx context.Context, pod *corev1.Pod) (string, error)
	notify func()

	mu sync.Mutex
	// known has the versions by image, silent those that have not answered, and next when to ask one again, for which
	// intervals has the time between two questions.
	known     map[string]string
	silent    sets.Set[string]
	next      map[string]time.Time
	intervals workqueue.TypedRateLimiter[string]
}

// NewVersions returns one that asks pods at the port of kube-state-metrics' own metrics.
func NewVersions(clock clock.PassiveClock, notify func()) *Versions {
	return &Versions{
		clock: clock, notify: notify,
		read: func(ctx context.Context, pod *corev1.Pod) (string, error) {
			return readVersion(ctx, telemetry.Client{}, pod)
		},
		known: map[string]string{}, silent: sets.New[string](), next: map[string]time.Time{},
		intervals: workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstVersionInterval, versionInterval),
	}
}

// of is what ready pods say. It asks those that it does not know in the background, and tells of what it learns by a
// change.
func (v *Versions) of(ctx context.Context, pods []corev1.Pod) said {
	if v == nil {
		return said{}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	found, is := sets.New[string](), said{}
	for i := range pods {
		image := runningImage(&pods[i])
		if image == "" {
			continue
		}
		if known, ok := v.known[image]; ok {
			found.Insert(known)
			continue
		}
		now := v.clock.Now()
		if next, ok := v.next[image]; !ok || !now.Before(next) {
			v.next[image] = now.Add(v.intervals.When(image))
			go v.ask(context.WithoutCancel(ctx), image, pods[i].DeepCopy())
		}
		is.silent = is.silent || v.silent.Has(image)
		is.asking = is.asking || !v.silent.Has(image)
		is.again = scaling.Sooner(is.again, v.next[image].Sub(now))
	}
	is.versions = sets.List(found)
	return is
}

func (v *Versions) ask(ctx context.Context, image string, pod *corev1.Pod) {
	// One that cannot be asked, as by a NetworkPolicy, is not known, which the condition says.
	version, err := v.read(ctx, pod)
	v.mu.Lock()
	again := v.silent.Has(image)
	if err != nil {
		v.silent.Insert(image)
	} else {
		v.known[image] = version
	}
	v.mu.Unlock()
	if err == nil || !again {
		v.notify()
	}
}

// runningImage identifies the image of a ready pod's kube-state-metrics; empty if there is none to ask.
func runningImage(pod *corev1.Pod) string {
	if !isActive(pod) || pod.Status.PodIP == "" || podCondition(pod, corev1.PodReady).Status != corev1.ConditionTrue {
		return ""
	}
	for _, container := range pod.Status.ContainerStatuses {
		if container.Name == containerName {
			return container.ImageID
		}
	}
	return ""
}

// readVersion asks the kube-state-metrics of a pod for its version.
func readVersion(ctx context.Context, client telemetry.Client, pod *corev1.Pod) (string, error) {
	families, err := client.Read(ctx, telemetry.URL(pod.Status.PodIP, v1alpha1.PortTelemetry))
	if err != nil {
		return "", err
	}
	return families.Version()
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
	if in.planned.Total == 1 {
		is.Message = "There is one shard, which bugs in sharding do not matter to"
		return is
	}
	bugs, none := knownBugs(in.observed.said.versions)
	unknown := func(message string) metav1.Condition {
		is.Status, is.Reason, is.Message = metav1.ConditionUnknown, v1alpha1.ReasonVersionUnknown, message
		return is
	}
	switch said := in.observed.said; {
	case keepsToItself(&in.ksmScale.Spec.Metrics) != "":
		return unknown(fmt.Sprintf("kube-state-metrics does not tell the controller its version, because %s: see that it is v2.20.0 or newer",
			keepsToItself(&in.ksmScale.Spec.Metrics)))
	case len(bugs) > 0:
		version := slices.Min(slices.Collect(maps.Keys(bugs)))
		is.Status, is.Reason = metav1.ConditionFalse, v1alpha1.ReasonKnownBugs
		is.Message = fmt.Sprintf("kube-state-metrics %s runs, in which %s: set spec.monitorImage to v2.20.0 or newer", version, strings.Join(bugs[version], "; "))
	case none != "":
		return unknown(fmt.Sprintf("A kube-state-metrics says that its version is %q, which is none", shortened(none, 64)))
	case said.asking && !said.silent && saidOfThis(in.ksmScale) != nil:
		return *saidOfThis(in.ksmScale)
	case said.asking || said.silent || len(said.versions) == 0:
		return unknown("Not every kube-state-metrics has said its version: it is asked once it is ready, at its pod's port 8081")
	default:
		is.Message = fmt.Sprintf("kube-state-metrics %s runs, and is not known for bugs in sharding", strings.Join(said.versions, ", "))
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

// keepsToItself is why kube-state-metrics does not tell the controller its version, if so: the controller sends its token
// to no pod, and may not read what spec.monitoring.tlsConfig has Prometheus trust.
func keepsToItself(metrics *v1alpha1.MetricsConfig) string {
	switch {
	case metrics.AuthFilter:
		return "spec.metrics.authFilter is true"
	case metrics.TLS != nil:
		return "spec.metrics.tls is set"
	default:
		return ""
	}
}
