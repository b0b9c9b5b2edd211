package objects

import (
	"cmp"
	"maps"
	"time"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	monitoringv1alpha1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
	monitoringv1ac "github.com/prometheus-operator/prometheus-operator/pkg/client/applyconfiguration/monitoring/v1"
	monitoringv1alpha1ac "github.com/prometheus-operator/prometheus-operator/pkg/client/applyconfiguration/monitoring/v1alpha1"
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

// ScrapeConfigs are the wanted ScrapeConfigs of a KSMScale: the same jobs as in deploy/prometheus/prometheus.yaml, for its
// own shards. The Prometheus Operator names the jobs of its configuration by the objects, and gives the label job the
// name that is set, so that it is the same for all KSMScales. No KSMScale's name has a dot, so that the names of those for
// pods are no other one's first.
func ScrapeConfigs(ksmScale *v1alpha1.KSMScale) []*monitoringv1alpha1ac.ScrapeConfigApplyConfiguration {
	name := MonitoringName(ksmScale)
	metrics := scrapeConfig(ksmScale, name, v1alpha1.JobMetrics, monitoringv1alpha1.KubernetesRoleService, ",!"+v1alpha1.LabelRetired)
	metrics.Spec.
		WithHonorLabels(true).
		WithRelabelConfigs(keep(v1alpha1.PortNameMetrics, "__meta_kubernetes_service_port_name"), label("instance", "__meta_kubernetes_service_name")).
		WithMetricRelabelConfigs(withoutShardInstance())
	telemetry := podScrapeConfig(ksmScale, name+".pods", v1alpha1.PortNameTelemetry)
	for _, ofMonitor := range []*monitoringv1alpha1ac.ScrapeConfigApplyConfiguration{metrics, telemetry} {
		ofMonitor.Spec.Authorization, ofMonitor.Spec.TLSConfig = scrapeAuthorization(ksmScale), scrapeTLSConfig(ksmScale)
		if ksmScale.Spec.Metrics.TLS.SecretName != "" {
			ofMonitor.Spec.WithScheme(monitoringv1.SchemeHTTPS)
		}
	}
	// The gate's port is not in the same object: it has no TLS, and would be sent the credentials as they are.
	gate := podScrapeConfig(ksmScale, name+".gates", v1alpha1.PortNameGate)
	return []*monitoringv1alpha1ac.ScrapeConfigApplyConfiguration{metrics, telemetry, gate}
}

// podScrapeConfig scrapes a port of each pod.
func podScrapeConfig(ksmScale *v1alpha1.KSMScale, name, port string) *monitoringv1alpha1ac.ScrapeConfigApplyConfiguration {
	is := scrapeConfig(ksmScale, name, v1alpha1.JobPods, monitoringv1alpha1.KubernetesRolePod, "")
	is.Spec.WithRelabelConfigs(
		keep(port, "__meta_kubernetes_pod_container_port_name"),
		relabel("drop").WithSourceLabels("__meta_kubernetes_pod_phase").WithRegex("Succeeded|Failed"),
		label("namespace", "__meta_kubernetes_namespace"),
		label("pod", "__meta_kubernetes_pod_name"),
		label("container", "__meta_kubernetes_pod_container_name"),
		label("ksmscale", "__meta_kubernetes_pod_label_ksmscale_example_com"),
		label("shard", "__meta_kubernetes_pod_label_shard_id"),
		label("total_shards", "__meta_kubernetes_pod_label_total_shards"))
	return is
}

func scrapeConfig(ksmScale *v1alpha1.KSMScale, name, job string, role monitoringv1alpha1.KubernetesRole, furtherSelector string) *monitoringv1alpha1ac.ScrapeConfigApplyConfiguration {
	monitoring := ksmScale.Spec.Monitoring
	spec := monitoringv1alpha1ac.ScrapeConfigSpec().
		WithJobName(job).
		WithScrapeInterval(prometheusDuration(ksmScale.Spec.ScrapeInterval())).
		WithKubernetesSDConfigs(monitoringv1alpha1ac.KubernetesSDConfig().
			WithRole(role).
			WithNamespaces(monitoringv1alpha1ac.NamespaceDiscovery().WithNames(ksmScale.Spec.Namespace)).
			WithSelectors(monitoringv1alpha1ac.K8SSelectorConfig().
				WithRole(role).
				WithLabel(v1alpha1.LabelKSMScale + "=" + ksmScale.Name + furtherSelector)))
	if monitoring.ScrapeTimeout != nil {
		spec.WithScrapeTimeout(prometheusDuration(monitoring.ScrapeTimeout.Duration))
	}
	return describe(ksmScale, monitoringv1alpha1ac.ScrapeConfig(name, ksmScale.Spec.Namespace), monitoringLabels(ksmScale)).
		WithSpec(spec)
}

// scrapeTLSConfig is how kube-state-metrics' certificate is verified. All shards have the same, so that one name will do,
// where pods are scraped by their addresses too.
func scrapeTLSConfig(ksmScale *v1alpha1.KSMScale) *monitoringv1ac.SafeTLSConfigApplyConfiguration {
	wanted := ksmScale.Spec.Monitoring.TLSConfig
	if wanted == nil {
		return nil
	}
	ca := monitoringv1ac.SecretOrConfigMap()
	if wanted.CA != nil && wanted.CA.Secret.Name != "" {
		ca.WithSecret(secretKey(wanted.CA.Secret))
	}
	if wanted.CA != nil && wanted.CA.ConfigMap.Name != "" {
		ca.WithConfigMap(corev1.ConfigMapKeySelector(secretKey(wanted.CA.ConfigMap)))
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
	if wanted.Credentials.Name == "" {
		return nil
	}
	return monitoringv1ac.SafeAuthorization().WithCredentials(secretKey(wanted.Credentials))
}

func secretKey(key v1alpha1.KeySelector) corev1.SecretKeySelector {
	return corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: key.Name}, Key: key.Key}
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

// prometheusDuration is a duration as Prometheus writes it, which has no fractions.
func prometheusDuration(duration time.Duration) monitoringv1.Duration {
	return monitoringv1.Duration(model.Duration(duration.Truncate(time.Millisecond)).String())
}

// relabel has its action always set: the API server fills in what is left out, and would make it differ from what is
// wanted.
func relabel(action string) *monitoringv1ac.RelabelConfigApplyConfiguration {
	return monitoringv1ac.RelabelConfig().WithAction(action)
}

func keep(regex string, sources ...monitoringv1.LabelName) *monitoringv1ac.RelabelConfigApplyConfiguration {
	return relabel("keep").WithSourceLabels(sources...).WithRegex(regex)
}

func label(target string, source monitoringv1.LabelName) *monitoringv1ac.RelabelConfigApplyConfiguration {
	return relabel("replace").WithSourceLabels(source).WithTargetLabel(target)
}

// withoutShardInstance keeps a series from naming the shard that it comes from, so that it stays the same series when
// objects change their shards. A metric that has a label instance of its own keeps it.
func withoutShardInstance() *monitoringv1ac.RelabelConfigApplyConfiguration {
	return relabel("replace").WithSourceLabels("instance").WithRegex("ksm-.+-shard-[0-9]+-of-[0-9]+").WithTargetLabel("instance").WithReplacement("")
}

// shardOfPod is the label of a target that is named like its shard's Service.
func shardOfPod() *monitoringv1ac.RelabelConfigApplyConfiguration {
	return relabel("replace").
		WithSourceLabels("__meta_kubernetes_pod_label_ksmscale_example_com", "__meta_kubernetes_pod_label_shard_id", "__meta_kubernetes_pod_label_total_shards").
		WithRegex("(.+);(.+);(.+)").WithTargetLabel("instance").WithReplacement("ksm-$1-shard-$2-of-$3")
}
