package objects

import (
	"maps"
	"strconv"
	"time"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	monitoringv1alpha1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
	monitoringv1ac "github.com/prometheus-operator/prometheus-operator/pkg/client/applyconfiguration/monitoring/v1"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

// ScrapingKind returns the kind of object that configures Prometheus to scrape a KSMScale; empty if spec.monitoring.type is None.
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

// MonitoringName returns the name of the objects of a KSMScale for the Prometheus Operator.
func MonitoringName(ksmScale *v1alpha1.KSMScale) string { return "ksm-" + ksmScale.Name }

// monitoringLabels returns the labels of these objects. A label of the spec never replaces a label that identifies the object.
func monitoringLabels(ksmScale *v1alpha1.KSMScale) map[string]string {
	labels := asStrings(ksmScale.Spec.Monitoring.Labels)
	maps.Copy(labels, IdentityLabels(ksmScale))
	return labels
}

// bodySizeLimit returns the largest scrape of a shard that Prometheus accepts; nil for any size. The pages of the pods about themselves are
// small.
func bodySizeLimit(ksmScale *v1alpha1.KSMScale) *monitoringv1.ByteSize {
	limit := ksmScale.Spec.Monitoring.BodySizeLimit
	if limit == nil {
		return nil
	}
	return new(monitoringv1.ByteSize(strconv.FormatInt(limit.Value(), 10) + "B"))
}

// scrapeTLSConfig returns how Prometheus verifies the certificate of kube-state-metrics. All shards have the same certificate. So one server
// name is enough, even where Prometheus scrapes pods by their addresses.
func scrapeTLSConfig(ksmScale *v1alpha1.KSMScale) *monitoringv1ac.SafeTLSConfigApplyConfiguration {
	desired := ksmScale.Spec.Monitoring.TLSConfig
	if desired == nil {
		return nil
	}
	ca := monitoringv1ac.SecretOrConfigMap()
	if desired.CA != nil && desired.CA.Secret.Name != "" {
		ca.WithSecret(secretKey(desired.CA.Secret))
	}
	if desired.CA != nil && desired.CA.ConfigMap.Name != "" {
		ca.WithConfigMap(corev1.ConfigMapKeySelector(secretKey(desired.CA.ConfigMap)))
	}
	// CA and Cert are always set. The client reads them back empty if they are unset, which would differ from the desired object.
	config := monitoringv1ac.SafeTLSConfig().WithCA(ca).WithCert(monitoringv1ac.SecretOrConfigMap()).
		WithServerName(ScrapedServerName(ksmScale))
	if desired.InsecureSkipVerify {
		config.WithInsecureSkipVerify(true)
	}
	return config
}

// ScrapedServerName is the name that the certificate of kube-state-metrics must have for clients that do not scrape it by the name of a
// Service.
func ScrapedServerName(ksmScale *v1alpha1.KSMScale) string {
	if config := ksmScale.Spec.Monitoring.TLSConfig; config != nil && config.ServerName != "" {
		return config.ServerName
	}
	return MonitoringName(ksmScale) + "." + ksmScale.Spec.Namespace + ".svc"
}

// scrapeAuthorization returns the credentials that Prometheus sends to kube-state-metrics. The default type is Bearer.
func scrapeAuthorization(ksmScale *v1alpha1.KSMScale) *monitoringv1ac.SafeAuthorizationApplyConfiguration {
	desired := ksmScale.Spec.Monitoring.Authorization
	if desired.Credentials.Name == "" {
		return nil
	}
	return monitoringv1ac.SafeAuthorization().WithCredentials(secretKey(desired.Credentials))
}

// secretKey converts a selector of a key.
func secretKey(key v1alpha1.KeySelector) corev1.SecretKeySelector {
	return corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: key.Name}, Key: key.Key}
}

// prometheusDuration writes a duration in the format of Prometheus, which has no fractions.
func prometheusDuration(duration time.Duration) monitoringv1.Duration {
	return monitoringv1.Duration(model.Duration(duration.Truncate(time.Millisecond)).String())
}
