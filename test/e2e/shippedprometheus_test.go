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
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/prometheus/server"
)

// startShipped starts two of Debian's Prometheus servers for the shards of a KSMScale. One has the shipped job for their
// Services, and the other the job for every pod. They end with the test.
func startShipped(t *testing.T, targets client.Reader, selector string, ksmScale *v1alpha1.KSMScale) []*prometheusServer {
	t.Helper()
	return []*prometheusServer{
		startShippedJob(t, targets, selector, ksmScale, "deploy, Services", "prometheus.yaml", "rules.yaml"),
		startShippedJob(t, targets, selector, ksmScale, "deploy, every pod", "every-pod.yaml", "rules.yaml", "deduplicate.yaml"),
	}
}

// startShippedJob starts one of Debian's Prometheus servers with the job of the shards in a file of deploy/prometheus.
func startShippedJob(t *testing.T, targets client.Reader, selector string, ksmScale *v1alpha1.KSMScale, name, file string, ruleFiles ...string) *prometheusServer {
	t.Helper()
	job := server.ScrapeConfigs(t, file)[v1alpha1.JobMetrics]
	require.NotNil(t, job)
	jobDiscovery := server.DiscoveryOf(t, job)
	ofKSMScale := strings.Replace(jobDiscovery.Selectors[0].Label, v1alpha1.LabelKSMScale, v1alpha1.LabelKSMScale+"="+ksmScale.Name, 1)
	discovery := httptest.NewServer(targetDiscovery{targets, jobDiscovery.Role, ofKSMScale})
	t.Cleanup(discovery.Close)
	api := server.Start(t, server.Options{
		Jobs: []server.ScrapeConfig{server.Led(job, discovery.URL)}, Interval: prometheusInterval, Selector: selector, ShippedRules: ruleFiles,
	})
	return &prometheusServer{
		Server:    newServer(api, name, selector, jobDiscovery.Role == podRole),
		ruleFiles: ruleFiles,
	}
}

// podRole is the role of discovery for pods; the other one is for Services.
const podRole = "pod"

// targetDiscovery serves the objects of a selector to Prometheus, like its own service discovery with that role.
type targetDiscovery struct {
	targets        client.Reader
	role, selector string
}

// watchTargets watches Services and pods until the test ends, like service discovery. So reads are immediate, however busy
// the API server is.
func watchTargets(t *testing.T) client.Reader {
	t.Helper()
	targets, err := cache.New(shared.config, cache.Options{
		Scheme: shared.client.Scheme(), DefaultNamespaces: map[string]cache.Config{monitoringNamespace: {}},
	})
	require.NoError(t, err)
	for _, kind := range []client.Object{&corev1.Service{}, &corev1.Pod{}} {
		_, err := targets.GetInformer(t.Context(), kind, cache.BlockUntilSynced(false))
		require.NoError(t, err)
	}
	go func() { _ = targets.Start(t.Context()) }()
	require.True(t, targets.WaitForCacheSync(t.Context()))
	return targets
}

func (d targetDiscovery) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	selector, err := labels.Parse(d.selector)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	find := servicesOf
	if d.role == podRole {
		find = podsOf
	}
	targets, err := find(r.Context(), d.targets, client.MatchingLabelsSelector{Selector: selector})
	if err != nil {
		// Prometheus then keeps the targets that it has.
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(targets)
}

func servicesOf(ctx context.Context, from client.Reader, selector client.ListOption) ([]server.Target, error) {
	var services corev1.ServiceList
	if err := from.List(ctx, &services, selector); err != nil {
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

func podsOf(ctx context.Context, from client.Reader, selector client.ListOption) ([]server.Target, error) {
	var list corev1.PodList
	if err := from.List(ctx, &list, selector); err != nil {
		return nil, err
	}
	targets := []server.Target{}
	for _, pod := range list.Items {
		if pod.Status.PodIP == "" {
			continue
		}
		for _, one := range pod.Spec.Containers {
			for _, port := range one.Ports {
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
