package controller

import (
	"fmt"
	"slices"

	monitoringv1ac "github.com/prometheus-operator/prometheus-operator/pkg/client/applyconfiguration/monitoring/v1"
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
	// ksmScale is the first by name of those that ask for rules; empty if none does.
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
		if monitoring.Rules && is.ksmScale == "" {
			is.ksmScale = ksmScale.Name
		}
		is.deduplicate = is.deduplicate || monitoring.Type == v1alpha1.MonitoringServiceMonitor
	}
	return is
}
