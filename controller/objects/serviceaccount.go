package objects

import (
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

// ServiceAccount is the wanted service account of a KSMScale's shards.
func ServiceAccount(ksmScale *v1alpha1.KSMScale) *corev1ac.ServiceAccountApplyConfiguration {
	return describe(ksmScale, corev1ac.ServiceAccount(v1alpha1.ServiceAccountName(ksmScale.Name), ksmScale.Spec.Namespace), IdentityLabels(ksmScale))
}

// OwnsServiceAccount tells whether the pods of a KSMScale run under the service account that is made for it. The rights
// of another one are not its business.
func OwnsServiceAccount(ksmScale *v1alpha1.KSMScale) bool {
	return ksmScale.Spec.Template == nil || ksmScale.Spec.Template.ServiceAccountName == ""
}
