package controller

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// controllerContainerName is the name of the container in the controller's own pod.
const controllerContainerName = "controller"

// readGateImage returns the image of the gates. By default it is the image of the controller, so users set a mirror or a digest in one place.
func readGateImage(ctx context.Context, pods client.Reader, options *Options) (string, error) {
	if options.GateImage != "" {
		return options.GateImage, nil
	}
	var pod corev1.Pod
	key := client.ObjectKey{Namespace: options.Namespace, Name: options.PodName}
	if err := pods.Get(ctx, key, &pod); err != nil {
		return "", fmt.Errorf("read the image of the gates from the controller's pod: %w", err)
	}
	for _, container := range pod.Spec.Containers {
		if container.Name == controllerContainerName {
			return container.Image, nil
		}
	}
	return "", fmt.Errorf("read the image of the gates: pod %s has no container %s; set --gate-image", key, controllerContainerName)
}
