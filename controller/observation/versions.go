package observation

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/telemetry"
)

const (
	// firstVersionInterval is how long a kube-state-metrics that does not say its version is left alone. It is doubled each
	// time, until it is versionInterval.
	firstVersionInterval = 10 * time.Second
	versionInterval      = 10 * time.Minute
)

// RunningVersions is what the kube-state-metrics of pods have said of their versions.
type RunningVersions struct {
	// Known are those known, in order.
	Known []string
	// Pending tells whether some image is being asked for the first time, and silent whether some image has not answered.
	Pending, Silent bool
	// RecheckAfter is after how long to look whether to ask again; 0 if all are known.
	RecheckAfter time.Duration
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
func (v *Versions) of(ctx context.Context, pods []corev1.Pod) RunningVersions {
	if v == nil {
		return RunningVersions{}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	found, is := sets.New[string](), RunningVersions{}
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
		is.Silent = is.Silent || v.silent.Has(image)
		is.Pending = is.Pending || !v.silent.Has(image)
		if wait := v.next[image].Sub(now); is.RecheckAfter == 0 || wait < is.RecheckAfter {
			is.RecheckAfter = wait
		}
	}
	is.Known = sets.List(found)
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
	if !IsActive(pod) || pod.Status.PodIP == "" || PodCondition(pod, corev1.PodReady).Status != corev1.ConditionTrue {
		return ""
	}
	for _, container := range pod.Status.ContainerStatuses {
		if container.Name == objects.ContainerName {
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

// WhyVersionIsUnreadable is why kube-state-metrics does not tell the controller its version, if so: the controller sends its token
// to no pod, and may not read what spec.monitoring.tlsConfig has Prometheus trust.
func WhyVersionIsUnreadable(metrics *v1alpha1.MetricsConfig) string {
	switch {
	case metrics.AuthFilter:
		return "spec.metrics.authFilter is true"
	case metrics.TLS.SecretName != "":
		return "spec.metrics.tls is set"
	default:
		return ""
	}
}
