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

// MonitorResources are the names of the kinds in those of their CustomResourceDefinitions.
var MonitorResources = map[string]string{
	monitoringv1alpha1.ScrapeConfigsKind: monitoringv1alpha1.ScrapeConfigName,
	monitoringv1.ServiceMonitorsKind:     monitoringv1.ServiceMonitorName,
	monitoringv1.PrometheusRuleKind:      monitoringv1.PrometheusRuleName,
}

// monitored is False when what spec.monitoring asks for cannot be made. A kind that nobody has asked for by name is not
// missed.
func monitored(in conditionInput) metav1.Condition {
	is := metav1.Condition{Type: v1alpha1.ConditionMonitoring, Status: metav1.ConditionFalse}
	found, spec := in.Snapshot.Monitoring, in.KSMScale.Spec.Monitoring
	if err := in.Failures.Monitoring; err != nil {
		is.Reason, is.Message = applyFailure(err, in.KSMScale.Spec.Namespace)
		return is
	}
	var made, missing []string
	for _, kind := range found.DesiredKinds(in.KSMScale) {
		if err := found.Failed[kind]; err != nil {
			is.Reason, is.Message = listFailure(err), fmt.Sprintf("No %s is created, because it is not known whether there is one: %s", kind, err)
			return is
		}
		if found.Installed.Has(kind) {
			made = append(made, kind)
		} else {
			missing = append(missing, kind)
		}
	}
	asked := slices.DeleteFunc(slices.Clone(missing), func(kind string) bool {
		return kind == objects.ScrapingKind(in.KSMScale) && spec.Type == ""
	})
	switch {
	case len(asked) > 0:
		is.Reason = v1alpha1.ReasonCRDNotInstalled
		is.Message = notInstalled(asked) + ": install the Prometheus Operator, or change spec.monitoring"
		return is
	case len(missing) > 0:
		is.Reason = v1alpha1.ReasonOperatorNotInstalled
		is.Message = notInstalled(missing) + ", so that no such object is made"
	case len(made) > 0:
		is.Reason = v1alpha1.ReasonCreated
		is.Message = fmt.Sprintf("There is a %s %s in namespace %s", strings.Join(made, " and a "), objects.MonitoringName(in.KSMScale), in.KSMScale.Spec.Namespace)
	default:
		is.Reason, is.Message = v1alpha1.ReasonDisabled, "spec.monitoring.type is None"
	}
	is.Message += remarks(in.KSMScale, made, found)
	is.Status = metav1.ConditionTrue
	return is
}

// remarks are on what is as asked for, and may not be what is meant.
func remarks(ksmScale *v1alpha1.KSMScale, made []string, found observation.Monitoring) string {
	var failed strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(found.Failed)) {
		fmt.Fprintf(&failed, "; a %s from before is not deleted: %s", kind, found.Failed[kind])
	}
	remarks := failed.String()
	spec, rules := ksmScale.Spec, found.Rules
	if spec.Monitoring.Rules && rules.KSMScale != "" && rules.KSMScale != ksmScale.Name {
		remarks += "; KSMScale " + rules.KSMScale + " has the rules of all KSMScales"
	}
	// The Prometheus Operator can add a token to what it scrapes by itself, so that this is no mistake for certain.
	if spec.Metrics.AuthFilter && spec.Monitoring.Authorization.Credentials.Name == "" && slices.Contains(made, objects.ScrapingKind(ksmScale)) {
		remarks += "; Prometheus is given no token for spec.metrics.authFilter, since spec.monitoring.authorization is not set"
	}
	return remarks
}

func notInstalled(kinds []string) string {
	var names []string
	for _, kind := range kinds {
		names = append(names, MonitorResources[kind]+".monitoring.coreos.com")
	}
	return "CustomResourceDefinition " + strings.Join(names, " and ") + " is not installed"
}
