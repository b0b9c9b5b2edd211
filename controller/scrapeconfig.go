package controller

import (
	"maps"
	"time"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	monitoringv1alpha1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
	monitoringv1ac "github.com/prometheus-operator/prometheus-operator/pkg/client/applyconfiguration/monitoring/v1"
	monitoringv1alpha1ac "github.com/prometheus-operator/prometheus-operator/pkg/client/applyconfiguration/monitoring/v1alpha1"
	"github.com/prometheus/common/model"

	"github.com/example/ksmscale/api/v1alpha1"
)

// scrapeConfigs are the wanted ScrapeConfigs of a KSMScale: the same jobs as in deploy/prometheus/prometheus.yaml, for its
// own shards. The Prometheus Operator names the jobs of its configuration by the objects, and gives the label job the
// name that is set, so that it is the same for all KSMScales.
func scrapeConfigs(ksmScale *v1alpha1.KSMScale) []*monitoringv1alpha1ac.ScrapeConfigApplyConfiguration {
	name := monitoringName(ksmScale)
	metrics := scrapeConfig(ksmScale, name, v1alpha1.JobMetrics, monitoringv1alpha1.KubernetesRoleService, ",!"+v1alpha1.LabelRetired)
	metrics.Spec.
		WithHonorLabels(true).
		WithRelabelConfigs(keep(v1alpha1.PortNameMetrics, "__meta_kubernetes_service_port_name"), label("instance", "__meta_kubernetes_service_name")).
		WithMetricRelabelConfigs(withoutShardInstance())
	// No KSMScale's name has a dot, so that this is no other one's first.
	pods := scrapeConfig(ksmScale, name+".pods", v1alpha1.JobPods, monitoringv1alpha1.KubernetesRolePod, "")
	pods.Spec.WithRelabelConfigs(
		keep(v1alpha1.PortNameTelemetry+"|"+v1alpha1.PortNameGate, "__meta_kubernetes_pod_container_port_name"),
		relabel("drop").WithSourceLabels("__meta_kubernetes_pod_phase").WithRegex("Succeeded|Failed"),
		label("namespace", "__meta_kubernetes_namespace"),
		label("pod", "__meta_kubernetes_pod_name"),
		label("container", "__meta_kubernetes_pod_container_name"),
		label("ksmscale", "__meta_kubernetes_pod_label_ksmscale_example_com"),
		label("shard", "__meta_kubernetes_pod_label_shard_id"),
		label("total_shards", "__meta_kubernetes_pod_label_total_shards"))
	return []*monitoringv1alpha1ac.ScrapeConfigApplyConfiguration{metrics, pods}
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
	return monitoringv1alpha1ac.ScrapeConfig(name, ksmScale.Spec.Namespace).
		WithLabels(monitoringLabels(ksmScale)).
		WithOwnerReferences(owner(ksmScale)).
		WithSpec(spec)
}

// monitoringName is the name of what is made of a KSMScale for the Prometheus Operator.
func monitoringName(ksmScale *v1alpha1.KSMScale) string { return "ksm-" + ksmScale.Name }

// monitoringLabels are those that the spec adds, but for ours, by which the objects are found again.
func monitoringLabels(ksmScale *v1alpha1.KSMScale) map[string]string {
	labels := map[string]string{}
	maps.Copy(labels, ksmScale.Spec.Monitoring.Labels)
	maps.Copy(labels, commonLabels(ksmScale))
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

func keep(regex string, source monitoringv1.LabelName) *monitoringv1ac.RelabelConfigApplyConfiguration {
	return relabel("keep").WithSourceLabels(source).WithRegex(regex)
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
