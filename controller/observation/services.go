package observation

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

func IsRetired(service *corev1.Service) bool { return service.Labels[v1alpha1.LabelRetired] != "" }
