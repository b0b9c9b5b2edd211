package flags

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// gateInitContainer is the name of the init container in the controller's own pod that has the image of the gates.
const gateInitContainer = "gate"

// ReadGateImage returns the image of the gates. By default it is the image of the init container "gate" in the pod of the controller.
// Kustomize, mirrors that rewrite images in pods, and scanners find it there like any other image.
func (o *Options) ReadGateImage(ctx context.Context, pods client.Reader) (string, error) {
	if o.GateImage != "" {
		return o.GateImage, nil
	}
	var pod corev1.Pod
	key := client.ObjectKey{Namespace: o.Namespace, Name: o.PodName}
	if err := pods.Get(ctx, key, &pod); err != nil {
		return "", fmt.Errorf("read the image of the gates from the controller's pod: %w", err)
	}
	for _, container := range pod.Spec.InitContainers {
		if container.Name == gateInitContainer {
			return container.Image, nil
		}
	}
	return "", fmt.Errorf("read the image of the gates: pod %s has no init container %s; set --gate-image", key, gateInitContainer)
}
