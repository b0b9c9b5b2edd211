package e2e

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/prometheus/server"
)

// startShipped starts Debian's Prometheus twice, for the shards of a KSMScale: with the job for their Services that
// deploy/prometheus has, and with that for every pod. They end with the test.
func startShipped(t *testing.T, selector string, ksmScale *v1alpha1.KSMScale) []*prometheusServer {
	t.Helper()
	discovery := httptest.NewServer(targetDiscovery{ksmScale.Name})
	t.Cleanup(discovery.Close)
	start := func(name, file, path string, ruleFiles ...string) *prometheusServer {
		job := server.ScrapeConfigs(t, file)[v1alpha1.JobMetrics]
		require.NotNil(t, job)
		api := server.Start(t, []server.ScrapeConfig{server.Led(job, discovery.URL+path)}, selector, ruleFiles...)
		return &prometheusServer{
			Server:    server.Server{API: api, Name: name, Selector: selector, Timeout: waitTimeout},
			everyPod:  path == podsPath,
			ruleFiles: ruleFiles,
		}
	}
	return []*prometheusServer{
		start("deploy, Services", "prometheus.yaml", servicesPath, "rules.yaml"),
		start("deploy, every pod", "every-pod.yaml", podsPath, "rules.yaml", "deduplicate.yaml"),
	}
}

// What targetDiscovery tells of, by the paths of its URLs.
const servicesPath, podsPath = "/services", "/pods"

// targetDiscovery tells Prometheus of the Services and pods of a KSMScale, as its own service discovery would.
type targetDiscovery struct{ ksmScale string }

func (d targetDiscovery) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	find := d.services
	if request.URL.Path == podsPath {
		find = d.pods
	}
	targets, err := find(request.Context())
	if err != nil {
		// Prometheus then keeps the targets that it has.
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(targets)
}

func (d targetDiscovery) services(ctx context.Context) ([]server.Target, error) {
	var services corev1.ServiceList
	if err := shared.client.List(ctx, &services, client.MatchingLabels{v1alpha1.LabelKSMScale: d.ksmScale}); err != nil {
		return nil, err
	}
	targets := []server.Target{}
	for _, service := range services.Items {
		for _, port := range service.Spec.Ports {
			targets = append(targets, server.Target{
				Targets: []string{net.JoinHostPort(service.Spec.ClusterIP, strconv.Itoa(int(port.Port)))},
				Labels:  map[string]string{"__meta_kubernetes_service_name": service.Name, "__meta_kubernetes_service_port_name": port.Name},
			})
		}
	}
	return targets, nil
}

func (d targetDiscovery) pods(ctx context.Context) ([]server.Target, error) {
	var pods corev1.PodList
	if err := shared.client.List(ctx, &pods, client.MatchingLabels{v1alpha1.LabelKSMScale: d.ksmScale}); err != nil {
		return nil, err
	}
	targets := []server.Target{}
	for _, pod := range pods.Items {
		if pod.Status.PodIP == "" {
			continue
		}
		for _, container := range pod.Spec.Containers {
			for _, port := range container.Ports {
				targets = append(targets, podTarget(pod, port))
			}
		}
	}
	return targets, nil
}

func podTarget(pod corev1.Pod, port corev1.ContainerPort) server.Target {
	const prefix = "__meta_kubernetes_pod_"
	return server.Target{
		Targets: []string{net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(int(port.ContainerPort)))},
		Labels: map[string]string{
			prefix + "name":                       pod.Name,
			prefix + "ready":                      strings.ToLower(string(readiness(pod).Status)),
			prefix + "container_port_name":        port.Name,
			prefix + "label_ksmscale_example_com": pod.Labels[v1alpha1.LabelKSMScale],
			prefix + "label_shard_id":             pod.Labels[v1alpha1.LabelShardID],
			prefix + "label_total_shards":         pod.Labels[v1alpha1.LabelTotalShards],
		},
	}
}
