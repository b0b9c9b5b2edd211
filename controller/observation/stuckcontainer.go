package observation

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/example/ksmscale/controller/objects"
)

// StuckContainer is a container that does not get ready without help.
type StuckContainer struct {
	// pod, container and image are its names, and init tells whether it is an init container.
	Pod, Container, Image string
	Init                  bool
	// Reason is a reason of the kubelet, and detail the kubelet's message, if it is the same each time.
	Reason, Detail string
	// LastExit is how the container ended last, if its reason is ReasonCrashLoopBackOff.
	LastExit corev1.ContainerStateTerminated
}

// Reasons of the kubelet for which a container waits.
const (
	ReasonImagePullBackOff = "ImagePullBackOff"
	ReasonCrashLoopBackOff = "CrashLoopBackOff"
)

// startFailures are further reasons of the kubelet. A container that waits for one of them does not start by itself.
var startFailures = []string{
	ReasonCrashLoopBackOff, "ErrImageNeverPull", "InvalidImageName",
	"RunContainerError", "CreateContainerError", "CreateContainerConfigError",
}

// maxBackOff is an upper bound of the time that the kubelet waits before it restarts a container. It restarts a container that ran
// for longer at once (k8s.io/kubernetes/pkg/kubelet, MaxContainerBackOff, doubled).
const maxBackOff = 10 * time.Minute

// FindStuckContainer returns the first stuck container, by the names of the pods, or nil.
func FindStuckContainer(pods []corev1.Pod, now metav1.Time) *StuckContainer {
	for _, pod := range SortedByName(pods) {
		if !IsActive(pod) {
			continue
		}
		// Admission webhooks inject init containers, which the others wait for.
		for i, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
			if container := asStuck(status, now); container != nil {
				container.Pod, container.Init = pod.Name, i < len(pod.Status.InitContainerStatuses)
				return container
			}
		}
	}
	return nil
}

// asStuck returns nil for a container that gets ready. The kubelet alternates between a try and a pause, with another message each
// time. Both have one reason here, so the status does not alternate too.
func asStuck(status corev1.ContainerStatus, now metav1.Time) *StuckContainer {
	container := &StuckContainer{Container: status.Name, Image: status.Image}
	waiting := ptr.Deref(status.State.Waiting, corev1.ContainerStateWaiting{})
	switch {
	case waiting.Reason == "ErrImagePull" || waiting.Reason == ReasonImagePullBackOff:
		container.Reason = ReasonImagePullBackOff
	case isCrashing(status, now):
		container.Reason, container.LastExit = ReasonCrashLoopBackOff, *status.LastTerminationState.Terminated
	case slices.Contains(startFailures, waiting.Reason):
		container.Reason, container.Detail = waiting.Reason, waiting.Message
	default:
		return nil
	}
	return container
}

// isCrashing tells whether a container has ended several times, each time soon after its start, and has not run for long since.
// Restarts of long ago do not count, and the first restart may be the only one.
func isCrashing(container corev1.ContainerStatus, now metav1.Time) bool {
	ended := container.LastTerminationState.Terminated
	if container.Ready || container.RestartCount < 2 || ended == nil || ended.FinishedAt.Sub(ended.StartedAt.Time) > maxBackOff {
		return false
	}
	running := container.State.Running
	return running == nil || now.Sub(running.StartedAt.Time) < maxBackOff
}

// reasonOOMKilled is the reason of the kubelet for a container that the kernel has killed because of its memory limit.
const reasonOOMKilled = "OOMKilled"

// IsKilledForMemory reports whether the kube-state-metrics container of a pod ended last because it needed more memory than its limit.
func IsKilledForMemory(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.ContainerStatuses, func(container corev1.ContainerStatus) bool {
		ended := cmp.Or(container.State.Terminated, container.LastTerminationState.Terminated)
		return container.Name == objects.ContainerName && ended != nil && ended.Reason == reasonOOMKilled
	})
}
