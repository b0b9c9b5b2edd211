package objects

import (
	"fmt"
	"slices"

	monitoringv1ac "github.com/prometheus-operator/prometheus-operator/pkg/client/applyconfiguration/monitoring/v1"
	"sigs.k8s.io/yaml"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/deploy/prometheus"
)

// PrometheusRule is the PrometheusRule with the rules that we ship, and with those that a ServiceMonitor needs if there
// is one.
func PrometheusRule(ksmScale *v1alpha1.KSMScale, deduplicate bool) *monitoringv1ac.PrometheusRuleApplyConfiguration {
	groups := slices.Clone(shippedRules)
	if deduplicate {
		groups = append(groups, deduplicatingRules...)
	}
	return describe(ksmScale, monitoringv1ac.PrometheusRule(MonitoringName(ksmScale), ksmScale.Spec.Namespace), monitoringLabels(ksmScale)).
		WithSpec(&monitoringv1ac.PrometheusRuleSpecApplyConfiguration{Groups: groups})
}

var shippedRules, deduplicatingRules = parsedRules(prometheus.Rules), parsedRules(prometheus.DeduplicatingRules)

// parsedRules panics if they are none, which only a change of them can bring about.
func parsedRules(file []byte) []monitoringv1ac.RuleGroupApplyConfiguration {
	var rules monitoringv1ac.PrometheusRuleSpecApplyConfiguration
	if err := yaml.UnmarshalStrict(file, &rules); err != nil {
		panic(fmt.Sprintf("the rules that are shipped cannot be read: %v", err))
	}
	return rules.Groups
}
