package objects

import (
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

// ServiceAccount returns the desired service account of the shards of a KSMScale.
func ServiceAccount(ksmScale *v1alpha1.KSMScale) *corev1ac.ServiceAccountApplyConfiguration {
	return describe(ksmScale, corev1ac.ServiceAccount(v1alpha1.ServiceAccountName(ksmScale.Name), ksmScale.Spec.Namespace), IdentityLabels(ksmScale))
}

// ServiceAccountOf is the name of the service account of the pods: the one that spec.template names, or the KSMScale's own.
func ServiceAccountOf(ksmScale *v1alpha1.KSMScale) string {
	if OwnsServiceAccount(ksmScale) {
		return v1alpha1.ServiceAccountName(ksmScale.Name)
	}
	return ksmScale.Spec.Template.ServiceAccountName
}

// OwnsServiceAccount reports whether the pods of a KSMScale run under its own service account. The controller does not manage the rights of
// any other service account.
func OwnsServiceAccount(ksmScale *v1alpha1.KSMScale) bool {
	return ksmScale.Spec.Template == nil || ksmScale.Spec.Template.ServiceAccountName == ""
}
