package objects

import (
	"cmp"
	"maps"
	"time"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	monitoringv1alpha1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
	monitoringv1ac "github.com/prometheus-operator/prometheus-operator/pkg/client/applyconfiguration/monitoring/v1"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

// ScrapingKind is the kind of object that has Prometheus scrape a KSMScale; empty if none is asked for.
func ScrapingKind(ksmScale *v1alpha1.KSMScale) string {
	switch ksmScale.Spec.Monitoring.Type {
	case v1alpha1.MonitoringNone:
		return ""
	case v1alpha1.MonitoringServiceMonitor:
		return monitoringv1.ServiceMonitorsKind
	default:
		return monitoringv1alpha1.ScrapeConfigsKind
	}
}

// MonitoringName is the name of what is made of a KSMScale for the Prometheus Operator.
func MonitoringName(ksmScale *v1alpha1.KSMScale) string { return "ksm-" + ksmScale.Name }

// monitoringLabels are those that the spec adds, but for ours, by which the objects are found again.
func monitoringLabels(ksmScale *v1alpha1.KSMScale) map[string]string {
	labels := map[string]string{}
	for key, value := range ksmScale.Spec.Monitoring.Labels {
		labels[key] = string(value)
	}
	maps.Copy(labels, IdentityLabels(ksmScale))
	return labels
}

// scrapeTLSConfig is how kube-state-metrics' certificate is verified. All shards have the same, so that one name will do,
// where pods are scraped by their addresses too.
func scrapeTLSConfig(ksmScale *v1alpha1.KSMScale) *monitoringv1ac.SafeTLSConfigApplyConfiguration {
	wanted := ksmScale.Spec.Monitoring.TLSConfig
	if wanted == nil {
		return nil
	}
	ca := monitoringv1ac.SecretOrConfigMap()
	if wanted.CA != nil && wanted.CA.Secret != nil {
		ca.WithSecret(secretKey(*wanted.CA.Secret))
	}
	if wanted.CA != nil && wanted.CA.ConfigMap != nil {
		ca.WithConfigMap(corev1.ConfigMapKeySelector(secretKey(*wanted.CA.ConfigMap)))
	}
	// Both are always set: they are read back empty when they are left out, and would differ from what is wanted.
	is := monitoringv1ac.SafeTLSConfig().WithCA(ca).WithCert(monitoringv1ac.SecretOrConfigMap()).
		WithServerName(cmp.Or(wanted.ServerName, MonitoringName(ksmScale)+"."+ksmScale.Spec.Namespace+".svc"))
	if wanted.InsecureSkipVerify {
		is.WithInsecureSkipVerify(true)
	}
	return is
}

// scrapeAuthorization is what is sent to kube-state-metrics; its type is Bearer unless set.
func scrapeAuthorization(ksmScale *v1alpha1.KSMScale) *monitoringv1ac.SafeAuthorizationApplyConfiguration {
	wanted := ksmScale.Spec.Monitoring.Authorization
	if wanted == nil {
		return nil
	}
	return monitoringv1ac.SafeAuthorization().WithCredentials(secretKey(wanted.Credentials))
}

func secretKey(key v1alpha1.KeySelector) corev1.SecretKeySelector {
	return corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: key.Name}, Key: key.Key}
}

// prometheusDuration is a duration as Prometheus writes it, which has no fractions.
func prometheusDuration(duration time.Duration) monitoringv1.Duration {
	return monitoringv1.Duration(model.Duration(duration.Truncate(time.Millisecond)).String())
}
