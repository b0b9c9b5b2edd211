package observation

import (
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/example/ksmscale/api/v1alpha1"
)

// RuleOwner is whose PrometheusRule there is, as one is enough for all KSMScales.
type RuleOwner struct {
	// KSMScale is the first by name of those that ask for rules and whose namespace can have objects; empty if there is none.
	KSMScale string
	// Deduplicate tells whether any KSMScale has every pod scraped.
	Deduplicate bool
}

func RuleOwnerOf(ksmScales []v1alpha1.KSMScale) RuleOwner {
	var is RuleOwner
	for _, ksmScale := range SortedByName(ksmScales) {
		if ksmScale.DeletionTimestamp != nil {
			continue
		}
		monitoring := ksmScale.Spec.Monitoring
		if monitoring.Rules && is.KSMScale == "" && !lacksNamespace(&ksmScale.Status) {
			is.KSMScale = ksmScale.Name
		}
		is.Deduplicate = is.Deduplicate || monitoring.Type == v1alpha1.MonitoringServiceMonitor
	}
	return is
}

// lacksNamespace tells whether the namespace of a KSMScale cannot have objects, which depends on nobody's rules.
func lacksNamespace(status *v1alpha1.KSMScaleStatus) bool {
	condition := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionProgressing)
	return condition != nil && (condition.Reason == v1alpha1.ReasonNamespaceNotFound || condition.Reason == v1alpha1.ReasonNamespaceTerminating)
}
