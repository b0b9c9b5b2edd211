package observation

import (
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/example/ksmscale/api/v1alpha1"
)

// RuleOwner names the KSMScale that has the PrometheusRule. One PrometheusRule is enough for all KSMScales.
type RuleOwner struct {
	// KSMScale is the first KSMScale by name that requests rules and whose namespace can have objects; empty if there is none.
	KSMScale string
	// Deduplicate reports whether Prometheus scrapes every pod of some KSMScale, so series need deduplication.
	Deduplicate bool
}

// RuleOwnerOf chooses the rule owner among all KSMScales.
func RuleOwnerOf(ksmScales []v1alpha1.KSMScale) RuleOwner {
	var owner RuleOwner
	for _, ksmScale := range SortedByName(ksmScales) {
		if ksmScale.DeletionTimestamp != nil {
			continue
		}
		monitoring := ksmScale.Spec.Monitoring
		if monitoring.Rules && owner.KSMScale == "" && !lacksNamespace(&ksmScale.Status) {
			owner.KSMScale = ksmScale.Name
		}
		owner.Deduplicate = owner.Deduplicate || monitoring.Type == v1alpha1.MonitoringServiceMonitor
	}
	return owner
}

// lacksNamespace reports whether the namespace of a KSMScale does not exist or is being deleted.
func lacksNamespace(status *v1alpha1.KSMScaleStatus) bool {
	condition := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionProgressing)
	return condition != nil && (condition.Reason == v1alpha1.ReasonNamespaceNotFound || condition.Reason == v1alpha1.ReasonNamespaceTerminating)
}
