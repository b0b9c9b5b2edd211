package objects

import (
	monitoringv1ac "github.com/prometheus-operator/prometheus-operator/pkg/client/applyconfiguration/monitoring/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

// ServiceMonitor returns the desired ServiceMonitor of a KSMScale. It scrapes every pod behind the Services of the shards, as
// deploy/prometheus/every-pod.yaml does. Prometheus stores the metrics of objects as replica:kube_..., once for each replica, and needs the
// rules of deduplicate.yaml.
func ServiceMonitor(ksmScale *v1alpha1.KSMScale) *monitoringv1ac.ServiceMonitorApplyConfiguration {
	metrics := monitorPort(ksmScale, v1alpha1.PortNameMetrics).
		WithHonorLabels(true).
		WithRelabelConfigs(
			// A pod is ready once its kube-state-metrics exposes every object of the shard. The labels of the pod itself can be older than
			// its endpoint, so the labels of the endpoint decide. One label is of the role Endpoints, the other of the role EndpointSlice.
			keep("true;|;true", "__meta_kubernetes_endpoint_ready", "__meta_kubernetes_endpointslice_endpoint_conditions_ready"),
			jobLabel(v1alpha1.JobMetrics),
			shardOfPod(),
			label("ksm_pod", "__meta_kubernetes_pod_name"),
			// The Prometheus Operator adds these labels to a target, where they would pass for labels of the objects.
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
	spec.BodySizeLimit = bodySizeLimit(ksmScale)
	for _, endpoint := range []*monitoringv1ac.EndpointApplyConfiguration{
		monitorPort(ksmScale, v1alpha1.PortNameTelemetry), podPort(ksmScale, v1alpha1.PortNameGate),
	} {
		spec.WithEndpoints(endpoint.WithRelabelConfigs(
			jobLabel(v1alpha1.JobPods),
			label("ksmscale", "__meta_kubernetes_pod_label_ksmscale_example_com"),
			label("shard", "__meta_kubernetes_pod_label_shard_id"),
			label("total_shards", "__meta_kubernetes_pod_label_total_shards"),
			relabel("labeldrop").WithRegex("service|endpoint")))
	}
	return describe(ksmScale, monitoringv1ac.ServiceMonitor(MonitoringName(ksmScale), ksmScale.Spec.Namespace), monitoringLabels(ksmScale)).
		WithSpec(spec)
}

// monitorPort scrapes a port of kube-state-metrics, with TLS and credentials if they are set.
func monitorPort(ksmScale *v1alpha1.KSMScale, port string) *monitoringv1ac.EndpointApplyConfiguration {
	config := podPort(ksmScale, port)
	config.Authorization = scrapeAuthorization(ksmScale)
	if safe := scrapeTLSConfig(ksmScale); safe != nil {
		config.WithTLSConfig(&monitoringv1ac.TLSConfigApplyConfiguration{SafeTLSConfigApplyConfiguration: *safe})
	}
	if ksmScale.Spec.Metrics.TLS.SecretName != "" {
		// Older versions of the Prometheus Operator accept only lower case, and its constant is upper case.
		config.WithScheme("https")
	}
	return config
}

// podPort scrapes a port of the pods behind the Services. The Services need not have the port.
func podPort(ksmScale *v1alpha1.KSMScale, port string) *monitoringv1ac.EndpointApplyConfiguration {
	config := monitoringv1ac.Endpoint().
		WithTargetPort(intstr.FromString(port)).
		WithInterval(prometheusDuration(ksmScale.Spec.ScrapeInterval()))
	if timeout := ksmScale.Spec.Monitoring.ScrapeTimeout; timeout != nil {
		config.WithScrapeTimeout(prometheusDuration(timeout.Duration))
	}
	return config
}
