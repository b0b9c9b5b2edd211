package objects

import (
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	monitoringv1alpha1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
	monitoringv1alpha1ac "github.com/prometheus-operator/prometheus-operator/pkg/client/applyconfiguration/monitoring/v1alpha1"

	"github.com/example/ksmscale/api/v1alpha1"
)

// ScrapeConfigs returns the desired ScrapeConfigs of a KSMScale. They have the same jobs as deploy/prometheus/prometheus.yaml, limited to the
// shards of the KSMScale. The label job is the same for all KSMScales, because each object sets it. The name of a KSMScale has no dot, so
// the names with a dot belong to one KSMScale.
func ScrapeConfigs(ksmScale *v1alpha1.KSMScale) []*monitoringv1alpha1ac.ScrapeConfigApplyConfiguration {
	name := MonitoringName(ksmScale)
	metrics := scrapeConfig(ksmScale, name, v1alpha1.JobMetrics, monitoringv1alpha1.KubernetesRoleService, ",!"+v1alpha1.LabelRetired)
	metrics.Spec.
		WithHonorLabels(true).
		WithRelabelConfigs(keep(v1alpha1.PortNameMetrics, "__meta_kubernetes_service_port_name"), label("instance", "__meta_kubernetes_service_name")).
		WithMetricRelabelConfigs(withoutShardInstance())
	metrics.Spec.BodySizeLimit = bodySizeLimit(ksmScale)
	telemetry := podScrapeConfig(ksmScale, name+".pods", v1alpha1.PortNameTelemetry)
	for _, scrape := range []*monitoringv1alpha1ac.ScrapeConfigApplyConfiguration{metrics, telemetry} {
		scrape.Spec.Authorization, scrape.Spec.TLSConfig = scrapeAuthorization(ksmScale), scrapeTLSConfig(ksmScale)
		if ksmScale.Spec.Metrics.TLS.SecretName != "" {
			scrape.Spec.WithScheme(monitoringv1.SchemeHTTPS)
		}
	}
	// The gate has its own object, because its port has no TLS. Prometheus would send the credentials to it in plain text.
	gates := podScrapeConfig(ksmScale, name+".gates", v1alpha1.PortNameGate)
	return []*monitoringv1alpha1ac.ScrapeConfigApplyConfiguration{metrics, telemetry, gates}
}

// podScrapeConfig scrapes a port of each pod.
func podScrapeConfig(ksmScale *v1alpha1.KSMScale, name, port string) *monitoringv1alpha1ac.ScrapeConfigApplyConfiguration {
	config := scrapeConfig(ksmScale, name, v1alpha1.JobPods, monitoringv1alpha1.KubernetesRolePod, "")
	config.Spec.WithRelabelConfigs(
		keep(port, "__meta_kubernetes_pod_container_port_name"),
		relabel("drop").WithSourceLabels("__meta_kubernetes_pod_phase").WithRegex("Succeeded|Failed"),
		label("namespace", "__meta_kubernetes_namespace"),
		label("pod", "__meta_kubernetes_pod_name"),
		label("container", "__meta_kubernetes_pod_container_name"),
		label("ksmscale", "__meta_kubernetes_pod_label_ksmscale_example_com"),
		label("shard", "__meta_kubernetes_pod_label_shard_id"),
		label("total_shards", "__meta_kubernetes_pod_label_total_shards"))
	return config
}

// scrapeConfig returns a ScrapeConfig with service discovery for one KSMScale.
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
