package objects

import (
	"fmt"
	"slices"

	monitoringv1ac "github.com/prometheus-operator/prometheus-operator/pkg/client/applyconfiguration/monitoring/v1"
	"sigs.k8s.io/yaml"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/deploy/prometheus"
)

// PrometheusRule returns the desired PrometheusRule with the shipped rules. With deduplicate, it also has the rules that a ServiceMonitor
// needs.
func PrometheusRule(ksmScale *v1alpha1.KSMScale, deduplicate bool) *monitoringv1ac.PrometheusRuleApplyConfiguration {
	groups := slices.Clone(shippedRules)
	if deduplicate {
		groups = append(groups, deduplicatingRules...)
	}
	return describe(ksmScale, monitoringv1ac.PrometheusRule(MonitoringName(ksmScale), ksmScale.Spec.Namespace), monitoringLabels(ksmScale)).
		WithSpec(&monitoringv1ac.PrometheusRuleSpecApplyConfiguration{Groups: groups})
}

var shippedRules, deduplicatingRules = parsedRules(prometheus.Rules), parsedRules(prometheus.DeduplicatingRules)

// parsedRules parses a shipped file. It panics if the file is invalid.
func parsedRules(file []byte) []monitoringv1ac.RuleGroupApplyConfiguration {
	var rules monitoringv1ac.PrometheusRuleSpecApplyConfiguration
	if err := yaml.UnmarshalStrict(file, &rules); err != nil {
		panic(fmt.Sprintf("cannot read the shipped rules: %v", err))
	}
	return rules.Groups
}
