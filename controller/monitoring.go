package controller

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	monitoringv1alpha1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

// monitorResources are the names of the kinds in those of their CustomResourceDefinitions.
var monitorResources = map[string]string{
	monitoringv1alpha1.ScrapeConfigsKind: monitoringv1alpha1.ScrapeConfigName,
	monitoringv1.ServiceMonitorsKind:     monitoringv1.ServiceMonitorName,
	monitoringv1.PrometheusRuleKind:      monitoringv1.PrometheusRuleName,
}

// scrapingKind is the kind of object that has Prometheus scrape a KSMScale; empty if none is asked for.
func scrapingKind(ksmScale *v1alpha1.KSMScale) string {
	switch ksmScale.Spec.Monitoring.Type {
	case v1alpha1.MonitoringNone:
		return ""
	case v1alpha1.MonitoringServiceMonitor:
		return monitoringv1.ServiceMonitorsKind
	default:
		return monitoringv1alpha1.ScrapeConfigsKind
	}
}

// wantedMonitors are the kinds that a KSMScale is to have objects of, in order.
func wantedMonitors(ksmScale *v1alpha1.KSMScale, rules rulesFor) []string {
	var kinds []string
	if kind := scrapingKind(ksmScale); kind != "" {
		kinds = append(kinds, kind)
	}
	if rules.ksmScale == ksmScale.Name && ksmScale.Spec.Monitoring.Rules {
		kinds = append(kinds, monitoringv1.PrometheusRuleKind)
	}
	return kinds
}

// monitored is False when what spec.monitoring asks for cannot be made. A kind that nobody has asked for by name is not
// missed.
func monitored(in conditionInput) metav1.Condition {
	is := metav1.Condition{Type: v1alpha1.ConditionMonitoring, Status: metav1.ConditionFalse}
	found, spec := in.observed.monitoring, in.ksmScale.Spec.Monitoring
	if err := in.failed.monitoring; err != nil {
		is.Reason, is.Message = applyFailure(err, in.ksmScale.Spec.Namespace)
		return is
	}
	var made, missing []string
	for _, kind := range wantedMonitors(in.ksmScale, found.rules) {
		if err := found.failed[kind]; err != nil {
			is.Reason, is.Message = listFailure(err), fmt.Sprintf("No %s is created, because it is not known whether there is one: %s", kind, err)
			return is
		}
		if found.installed.Has(kind) {
			made = append(made, kind)
		} else {
			missing = append(missing, kind)
		}
	}
	asked := slices.DeleteFunc(slices.Clone(missing), func(kind string) bool {
		return kind == scrapingKind(in.ksmScale) && spec.Type == ""
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
		is.Message = fmt.Sprintf("There is a %s %s in namespace %s", strings.Join(made, " and a "), monitoringName(in.ksmScale), in.ksmScale.Spec.Namespace)
	default:
		is.Reason, is.Message = v1alpha1.ReasonDisabled, "spec.monitoring.type is None"
	}
	is.Message += remarks(in.ksmScale, made, found)
	is.Status = metav1.ConditionTrue
	return is
}

// remarks are on what is as asked for, and may not be what is meant.
func remarks(ksmScale *v1alpha1.KSMScale, made []string, found monitoring) string {
	var failed strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(found.failed)) {
		fmt.Fprintf(&failed, "; a %s from before is not deleted: %s", kind, found.failed[kind])
	}
	remarks := failed.String()
	spec, rules := ksmScale.Spec, found.rules
	if spec.Monitoring.Rules && rules.ksmScale != "" && rules.ksmScale != ksmScale.Name {
		remarks += "; KSMScale " + rules.ksmScale + " has the rules of all KSMScales"
	}
	// The Prometheus Operator can add a token to what it scrapes by itself, so that this is no mistake for certain.
	if spec.Metrics.AuthFilter && spec.Monitoring.Authorization == nil && slices.Contains(made, scrapingKind(ksmScale)) {
		remarks += "; Prometheus is given no token for spec.metrics.authFilter, since spec.monitoring.authorization is not set"
	}
	return remarks
}

func notInstalled(kinds []string) string {
	var names []string
	for _, kind := range kinds {
		names = append(names, monitorResources[kind]+".monitoring.coreos.com")
	}
	return "CustomResourceDefinition " + strings.Join(names, " and ") + " is not installed"
}
