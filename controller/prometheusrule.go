package controller

import (
	"fmt"
	"slices"

	monitoringv1ac "github.com/prometheus-operator/prometheus-operator/pkg/client/applyconfiguration/monitoring/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/yaml"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/deploy/prometheus"
)

var shippedRules, deduplicatingRules = parsedRules(prometheus.Rules), parsedRules(prometheus.DeduplicatingRules)

// prometheusRule is the PrometheusRule with the rules that we ship, and with those that a ServiceMonitor needs if there
// is one.
func prometheusRule(ksmScale *v1alpha1.KSMScale, deduplicate bool) *monitoringv1ac.PrometheusRuleApplyConfiguration {
	groups := slices.Clone(shippedRules)
	if deduplicate {
		groups = append(groups, deduplicatingRules...)
	}
	return describe(ksmScale, monitoringv1ac.PrometheusRule(monitoringName(ksmScale), ksmScale.Spec.Namespace), monitoringLabels(ksmScale)).
		WithSpec(&monitoringv1ac.PrometheusRuleSpecApplyConfiguration{Groups: groups})
}

// parsedRules panics if they are none, which only a change of them can bring about.
func parsedRules(file []byte) []monitoringv1ac.RuleGroupApplyConfiguration {
	var rules monitoringv1ac.PrometheusRuleSpecApplyConfiguration
	if err := yaml.UnmarshalStrict(file, &rules); err != nil {
		panic(fmt.Sprintf("the rules that are shipped cannot be read: %v", err))
	}
	return rules.Groups
}

// rulesFor is whose PrometheusRule there is, as one is enough for all KSMScales.
type rulesFor struct {
	// ksmScale is the first by name of those that ask for rules and whose namespace can have objects; empty if there is none.
	ksmScale string
	// deduplicate tells whether any KSMScale has every pod scraped.
	deduplicate bool
}

func rulesOf(ksmScales []v1alpha1.KSMScale) rulesFor {
	var is rulesFor
	for _, ksmScale := range byName(ksmScales) {
		if ksmScale.DeletionTimestamp != nil {
			continue
		}
		monitoring := ksmScale.Spec.Monitoring
		if monitoring.Rules && is.ksmScale == "" && !lacksNamespace(&ksmScale.Status) {
			is.ksmScale = ksmScale.Name
		}
		is.deduplicate = is.deduplicate || monitoring.Type == v1alpha1.MonitoringServiceMonitor
	}
	return is
}

// lacksNamespace tells whether the namespace of a KSMScale cannot have objects, which depends on nobody's rules.
func lacksNamespace(status *v1alpha1.KSMScaleStatus) bool {
	condition := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionProgressing)
	return condition != nil && (condition.Reason == v1alpha1.ReasonNamespaceNotFound || condition.Reason == v1alpha1.ReasonNamespaceTerminating)
}
