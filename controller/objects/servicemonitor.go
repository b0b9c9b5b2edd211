package objects

import (
	monitoringv1ac "github.com/prometheus-operator/prometheus-operator/pkg/client/applyconfiguration/monitoring/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

// ServiceMonitor is the wanted ServiceMonitor of a KSMScale: it scrapes every pod behind the shards' Services, as a
// ServiceMonitor does, as deploy/prometheus/every-pod.yaml says. Its metrics of objects are stored as replica:kube_...,
// once for each replica, and need deduplicate.yaml.
func ServiceMonitor(ksmScale *v1alpha1.KSMScale) *monitoringv1ac.ServiceMonitorApplyConfiguration {
	metrics := monitorPort(ksmScale, v1alpha1.PortNameMetrics).
		WithHonorLabels(true).
		WithRelabelConfigs(
			// A pod is ready once its kube-state-metrics exposes its whole share. What Prometheus says of the pod itself here is
			// from when its endpoint changed, which may be before the pod was ready. One label is of the role Endpoints, the
			// other of EndpointSlice.
			keep("true;|;true", "__meta_kubernetes_endpoint_ready", "__meta_kubernetes_endpointslice_endpoint_conditions_ready"),
			job(v1alpha1.JobMetrics),
			shardOfPod(),
			label("ksm_pod", "__meta_kubernetes_pod_name"),
			// The Prometheus Operator's labels of a target would be taken for labels of the objects.
			relabel("labeldrop").WithRegex("namespace|service|endpoint|pod|container|node")).
		WithMetricRelabelConfigs(relabel("replace").
			WithSourceLabels("__name__").WithRegex("(kube_.+)").WithTargetLabel("__name__").WithReplacement("replica:$1"))
	spec := monitoringv1ac.ServiceMonitorSpec().
		WithNamespaceSelector(monitoringv1ac.NamespaceSelector().WithMatchNames(ksmScale.Spec.Namespace)).
		WithSelector(metav1ac.LabelSelector().
			WithMatchLabels(map[string]string{v1alpha1.LabelKSMScale: ksmScale.Name}).
			WithMatchExpressions(metav1ac.LabelSelectorRequirement().
				WithKey(v1alpha1.LabelRetired).WithOperator(metav1.LabelSelectorOpDoesNotExist))).
		WithEndpoints(metrics)
	for _, ofPod := range []*monitoringv1ac.EndpointApplyConfiguration{
		monitorPort(ksmScale, v1alpha1.PortNameTelemetry), podPort(ksmScale, v1alpha1.PortNameGate),
	} {
		spec.WithEndpoints(ofPod.WithRelabelConfigs(
			job(v1alpha1.JobPods),
			label("ksmscale", "__meta_kubernetes_pod_label_ksmscale_example_com"),
			label("shard", "__meta_kubernetes_pod_label_shard_id"),
			label("total_shards", "__meta_kubernetes_pod_label_total_shards"),
			relabel("labeldrop").WithRegex("service|endpoint")))
	}
	return describe(ksmScale, monitoringv1ac.ServiceMonitor(MonitoringName(ksmScale), ksmScale.Spec.Namespace), monitoringLabels(ksmScale)).
		WithSpec(spec)
}

// podPort is a port of the pods behind the Services, whether these have it or not.
func podPort(ksmScale *v1alpha1.KSMScale, port string) *monitoringv1ac.EndpointApplyConfiguration {
	is := monitoringv1ac.Endpoint().
		WithTargetPort(intstr.FromString(port)).
		WithInterval(prometheusDuration(ksmScale.Spec.ScrapeInterval()))
	if timeout := ksmScale.Spec.Monitoring.ScrapeTimeout; timeout != nil {
		is.WithScrapeTimeout(prometheusDuration(timeout.Duration))
	}
	return is
}

// monitorPort is one that kube-state-metrics serves at: with TLS and to those with credentials only, if so set.
func monitorPort(ksmScale *v1alpha1.KSMScale, port string) *monitoringv1ac.EndpointApplyConfiguration {
	is := podPort(ksmScale, port)
	is.Authorization = scrapeAuthorization(ksmScale)
	if safe := scrapeTLSConfig(ksmScale); safe != nil {
		is.WithTLSConfig(&monitoringv1ac.TLSConfigApplyConfiguration{SafeTLSConfigApplyConfiguration: *safe})
	}
	if ksmScale.Spec.Metrics.TLS.SecretName != "" {
		// Older versions of the Prometheus Operator know it in lower case only, and its constant is not.
		is.WithScheme("https")
	}
	return is
}

// job names a target's job, which would be named like its Service otherwise.
func job(name string) *monitoringv1ac.RelabelConfigApplyConfiguration {
	return relabel("replace").WithTargetLabel("job").WithReplacement(name)
}
