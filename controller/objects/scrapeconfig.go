package objects

import (
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	monitoringv1alpha1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
	monitoringv1alpha1ac "github.com/prometheus-operator/prometheus-operator/pkg/client/applyconfiguration/monitoring/v1alpha1"

	"github.com/example/ksmscale/api/v1alpha1"
)

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
		if ksmScale.Spec.Metrics.TLS != nil {
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
