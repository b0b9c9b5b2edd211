package status

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	monitoringv1alpha1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/controller/observation"
)

// monitoringCondition is False while the controller cannot create the objects that spec.monitoring requests. A missing kind matters only if
// spec.monitoring names it.
func monitoringCondition(in conditionInput) metav1.Condition {
	condition := metav1.Condition{Type: v1alpha1.ConditionMonitoring, Status: metav1.ConditionFalse}
	monitoring, spec := in.Snapshot.Monitoring, in.KSMScale.Spec.Monitoring
	if err := in.Failures.Monitoring; err != nil {
		condition.Reason, condition.Message = applyFailure(err, in.KSMScale.Spec.Namespace)
		return condition
	}
	var created, missing []string
	for _, kind := range monitoring.DesiredKinds(in.KSMScale) {
		if err := monitoring.Failed[kind]; err != nil {
			condition.Reason, condition.Message = listFailure(err), fmt.Sprintf("The controller creates no %[1]s, because it cannot list the existing %[1]ss: %[2]s", kind, err)
			return condition
		}
		if monitoring.Installed.Has(kind) {
			created = append(created, kind)
		} else {
			missing = append(missing, kind)
		}
	}
	requested := slices.DeleteFunc(slices.Clone(missing), func(kind string) bool {
		return kind == objects.ScrapingKind(in.KSMScale) && spec.Type == ""
	})
	switch {
	case len(requested) > 0:
		condition.Reason = v1alpha1.ReasonCRDNotInstalled
		condition.Message = notInstalled(requested) + ": install the Prometheus Operator, or change spec.monitoring"
		return condition
	case len(missing) > 0:
		condition.Reason = v1alpha1.ReasonOperatorNotInstalled
		condition.Message = notInstalled(missing) + ", so the controller creates no such object"
	case len(created) > 0:
		condition.Reason = v1alpha1.ReasonCreated
		condition.Message = fmt.Sprintf("Created %s %s in namespace %s", strings.Join(created, " and "), objects.MonitoringName(in.KSMScale), in.KSMScale.Spec.Namespace)
	default:
		condition.Reason, condition.Message = v1alpha1.ReasonDisabled, "spec.monitoring.type is None"
	}
	condition.Message += remarks(in.KSMScale, created, monitoring)
	condition.Status = metav1.ConditionTrue
	return condition
}

// remarks point out settings that are valid and may not be intended.
func remarks(ksmScale *v1alpha1.KSMScale, created []string, monitoring observation.Monitoring) string {
	var failed strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(monitoring.Failed)) {
		fmt.Fprintf(&failed, "; the controller does not delete an earlier %s, because it cannot list that kind: %s", kind, monitoring.Failed[kind])
	}
	text := failed.String()
	spec, rules := ksmScale.Spec, monitoring.Rules
	switch {
	case monitoring.RulesStay(ksmScale):
		text += "; PrometheusRule " + objects.MonitoringName(ksmScale) + " stays until KSMScale " + rules.KSMScale + " has the rules of all KSMScales"
	case spec.Monitoring.Rules && rules.KSMScale != "" && rules.KSMScale != ksmScale.Name:
		text += "; KSMScale " + rules.KSMScale + " has the rules of all KSMScales"
	}
	// This may be intended, because the Prometheus Operator can also add a token by itself.
	if spec.Metrics.AuthFilter && spec.Monitoring.Authorization.Credentials.Name == "" && slices.Contains(created, objects.ScrapingKind(ksmScale)) {
		text += "; Prometheus gets no token for spec.metrics.authFilter: set spec.monitoring.authorization"
	}
	return text
}

// notInstalled names the missing CustomResourceDefinitions of some kinds.
func notInstalled(kinds []string) string {
	var names []string
	for _, kind := range kinds {
		names = append(names, MonitorResources[kind]+".monitoring.coreos.com")
	}
	return "CustomResourceDefinition " + strings.Join(names, " and ") + " is not installed"
}

// MonitorResources has the resource of each kind of the Prometheus Operator, as in the name of its CustomResourceDefinition.
var MonitorResources = map[string]string{
	monitoringv1alpha1.ScrapeConfigsKind: monitoringv1alpha1.ScrapeConfigName,
	monitoringv1.ServiceMonitorsKind:     monitoringv1.ServiceMonitorName,
	monitoringv1.PrometheusRuleKind:      monitoringv1.PrometheusRuleName,
}
