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

// StuckContainer is a container that does not become ready without help.
type StuckContainer struct {
	// Pod and Container are the names of the pod and of the container, and Image is the image of the container.
	Pod, Container, Image string
	// Init reports that it is an init container.
	Init bool
	// Reason is a reason of the kubelet. Detail is the message of the kubelet, if it is the same each time.
	Reason, Detail string
	// LastExit describes the last end of the container, if the reason is ReasonCrashLoopBackOff.
	LastExit corev1.ContainerStateTerminated
}

// Reasons of the kubelet for which a container waits.
const (
	ReasonImagePullBackOff = "ImagePullBackOff"
	ReasonCrashLoopBackOff = "CrashLoopBackOff"
)

// startFailures are further reasons of the kubelet. A container with such a reason does not start by itself.
var startFailures = []string{
	ReasonCrashLoopBackOff, "ErrImageNeverPull", "InvalidImageName",
	"RunContainerError", "CreateContainerError", "CreateContainerConfigError",
}

// maxBackOff is twice the longest time that the kubelet waits before it restarts a container (k8s.io/kubernetes/pkg/kubelet,
// MaxContainerBackOff). The kubelet restarts a container at once if it ran for longer.
const maxBackOff = 10 * time.Minute

// FindStuckContainer returns the first stuck container in the order of the names of the pods, or nil.
func FindStuckContainer(pods []corev1.Pod, now metav1.Time) *StuckContainer {
	for _, pod := range SortedByName(pods) {
		if !IsActive(pod) {
			continue
		}
		// Admission webhooks can inject init containers, and the other containers wait for these.
		for i, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
			if container := asStuck(status, now); container != nil {
				container.Pod, container.Init = pod.Name, i < len(pod.Status.InitContainerStatuses)
				return container
			}
		}
	}
	return nil
}

// asStuck returns nil unless a container is stuck. The kubelet alternates between an attempt and a pause, each with its own message. Both
// have the same reason here, so the status of the KSMScale does not alternate.
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

// isCrashing reports whether a container has ended at least twice, soon after its start, and has not run for long since. A single restart
// does not count, because no second one may follow.
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
