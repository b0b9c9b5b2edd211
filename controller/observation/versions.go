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
	// firstVersionInterval is the time before the controller requests the version of a silent kube-state-metrics again. Each further failure
	// doubles this time, up to versionInterval.
	firstVersionInterval = 10 * time.Second
	versionInterval      = 10 * time.Minute
)

// Versions reads the version of each image of kube-state-metrics that runs. The tag of an image can differ from its version. All containers
// of an image have the same version, so one pod per image is enough. Create it with NewVersions.
type Versions struct {
	clock  clock.PassiveClock
	read   func(ctx context.Context, pod *corev1.Pod) (string, error)
	notify func()

	mu sync.Mutex
	// known has the versions by image, and silent has the images whose version could not be read.
	known  map[string]string
	silent sets.Set[string]
	// next has the time of the next attempt by image, and intervals has the time between two attempts.
	next      map[string]time.Time
	intervals workqueue.TypedRateLimiter[string]
}

// RunningVersions are the versions of kube-state-metrics that pods run.
type RunningVersions struct {
	// Known are the known versions, in order.
	Known []string
	// Pending reports whether the first attempt for some image is under way, and Silent whether an attempt for some image has failed.
	Pending, Silent bool
	// RecheckAfter is the time until the next attempt; 0 if all versions are known.
	RecheckAfter time.Duration
}

// NewVersions returns a Versions that reads from the telemetry port of kube-state-metrics.
func NewVersions(source clock.PassiveClock, notify func()) *Versions {
	return &Versions{
		clock: source, notify: notify,
		read: func(ctx context.Context, pod *corev1.Pod) (string, error) {
			return readVersion(ctx, telemetry.Client{}, pod)
		},
		known: map[string]string{}, silent: sets.New[string](), next: map[string]time.Time{},
		intervals: workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstVersionInterval, versionInterval),
	}
}

// of returns the versions of ready pods. It reads unknown versions in the background, and notifies once it has read one.
func (v *Versions) of(ctx context.Context, pods []corev1.Pod) RunningVersions {
	if v == nil {
		return RunningVersions{}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	known, running := sets.New[string](), RunningVersions{}
	for i := range pods {
		image := runningImage(&pods[i])
		if image == "" {
			continue
		}
		if version, ok := v.known[image]; ok {
			known.Insert(version)
			continue
		}
		now := v.clock.Now()
		if next, ok := v.next[image]; !ok || !now.Before(next) {
			v.next[image] = now.Add(v.intervals.When(image))
			go v.learn(context.WithoutCancel(ctx), image, pods[i].DeepCopy())
		}
		running.Silent = running.Silent || v.silent.Has(image)
		running.Pending = running.Pending || !v.silent.Has(image)
		if wait := v.next[image].Sub(now); running.RecheckAfter == 0 || wait < running.RecheckAfter {
			running.RecheckAfter = wait
		}
	}
	running.Known = sets.List(known)
	return running
}

// learn reads the version of an image from a pod. A failure, such as a NetworkPolicy causes, makes the image silent.
func (v *Versions) learn(ctx context.Context, image string, pod *corev1.Pod) {
	version, err := v.read(ctx, pod)
	v.mu.Lock()
	wasSilent := v.silent.Has(image)
	if err != nil {
		v.silent.Insert(image)
	} else {
		v.known[image] = version
	}
	v.mu.Unlock()
	if err == nil || !wasSilent {
		v.notify()
	}
}

// runningImage identifies the image of kube-state-metrics in a ready pod; empty if the pod cannot be read.
func runningImage(pod *corev1.Pod) string {
	if !IsActive(pod) || pod.Status.PodIP == "" || !IsReady(pod) {
		return ""
	}
	for _, container := range pod.Status.ContainerStatuses {
		if container.Name == objects.ContainerName {
			return container.ImageID
		}
	}
	return ""
}

// readVersion reads the version of the kube-state-metrics of a pod.
func readVersion(ctx context.Context, client telemetry.Client, pod *corev1.Pod) (string, error) {
	families, err := client.Read(ctx, telemetry.URL(pod.Status.PodIP, v1alpha1.PortTelemetry))
	if err != nil {
		return "", err
	}
	return families.Version()
}

// WhyVersionIsUnreadable names the setting that keeps the controller from reading versions; empty if there is none. The controller sends
// its token to no pod, and it has no right to read the CA in spec.monitoring.tlsConfig.
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
