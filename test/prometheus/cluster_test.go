package prometheus

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/gate/sharding"
	"github.com/example/ksmscale/test/prometheus/server"
)

const (
	// objects is the number of pods that the shards export.
	objects              = 200
	namespace            = "monitoring"
	serviceRole, podRole = "service", "pod"
)

// cluster imitates a cluster with shards of kube-state-metrics. It lists its Services and pods for a Prometheus, like
// service discovery. It is also the proxy through which Prometheus scrapes them.
type cluster struct {
	url string
	// address is where all Services are; if empty, this is their proxy.
	address string

	mu sync.Mutex
	// shards are the shards that Prometheus discovers, and answering all shards that have ever existed.
	shards    []v1alpha1.Shard
	answering sets.Set[v1alpha1.Shard]
	// replicas is the number of pods of each shard.
	replicas int
	// failing are the hosts that do not answer.
	failing sets.Set[string]
}

func newCluster(t *testing.T, replicas int) *cluster {
	t.Helper()
	c := &cluster{replicas: replicas, answering: sets.New[v1alpha1.Shard](), failing: sets.New[string]()}
	listening := httptest.NewServer(c)
	t.Cleanup(listening.Close)
	c.url = listening.URL
	return c
}

// lead changes a job, which then discovers its targets from this cluster, and reaches them through it, unless another
// cluster leads the job.
func (c *cluster) lead(t *testing.T, job server.ScrapeConfig) server.ScrapeConfig {
	t.Helper()
	if job["kubernetes_sd_configs"] == nil {
		return job
	}
	discovery := server.DiscoveryOf(t, job)
	require.Contains(t, []string{serviceRole, podRole}, discovery.Role)
	selector, err := labels.Parse(discovery.Selectors[0].Label)
	require.NoError(t, err)
	ours := selector.Matches(labels.Set(v1alpha1.Shard{KSMScale: "main"}.Selector()))
	require.Equal(t, strings.HasPrefix(fmt.Sprint(job["job_name"]), "kube-state-metrics"), ours)

	led := server.Led(job, c.url+"/"+discovery.Role)
	if c.address == "" {
		led["proxy_url"] = c.url
	}
	return led
}

// has sets the partitions by their totals. Shards of earlier partitions continue to answer, like pods for a while after
// their deletion.
func (c *cluster) has(totals ...int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shards = nil
	for _, total := range totals {
		for id := range total {
			c.shards = append(c.shards, v1alpha1.Shard{KSMScale: "main", ID: id, Total: total})
		}
	}
	c.answering.Insert(c.shards...)
}

// fail has a host not answer any more, or answer again.
func (c *cluster) fail(host string, failing bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if failing {
		c.failing.Insert(host)
	} else {
		c.failing.Delete(host)
	}
}

func serviceHost(shard v1alpha1.Shard) string { return shard.Name() + "." + namespace + ".svc" }

// podHost is the address of a replica, which contains its shard.
func podHost(shard v1alpha1.Shard, number int) string {
	return fmt.Sprintf("10.%d.%d.%d", shard.Total, shard.ID, number)
}

// ServeHTTP answers scrapes, whose URLs name a host, and questions for targets, whose do not.
func (c *cluster) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if request.URL.Host != "" {
		c.scrape(w, request.URL.Hostname(), request.URL.Port())
		return
	}
	targets := []server.Target{}
	for _, shard := range c.shards {
		if request.URL.Path == "/"+serviceRole {
			targets = append(targets, serviceTarget(shard, c.address))
		}
		for number := range c.replicas {
			if request.URL.Path == "/"+podRole {
				targets = append(targets, podTargets(shard, number)...)
			}
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(targets)
}

func (c *cluster) scrape(w http.ResponseWriter, host, port string) {
	for shard := range c.answering {
		hosts := sets.New(serviceHost(shard))
		for number := range c.replicas {
			hosts.Insert(podHost(shard, number))
		}
		if !hosts.Has(host) || c.failing.Has(host) {
			continue
		}
		switch port {
		case strconv.Itoa(int(v1alpha1.PortMetrics)):
			_, _ = fmt.Fprint(w, metricsOf(shard))
		case strconv.Itoa(int(v1alpha1.PortTelemetry)):
			_, _ = fmt.Fprintf(w, "kube_state_metrics_build_info{version=\"v2.20.0\"} 1\nkube_state_metrics_total_shards %d\nkube_state_metrics_shard_ordinal{shard_ordinal=\"%d\"} %d\n", shard.Total, shard.ID, shard.ID)
		case strconv.Itoa(int(v1alpha1.PortGate)):
			_, _ = fmt.Fprint(w, "ksmscale_gate_opened_by_deadline_total 0\n")
		}
		return
	}
	w.WriteHeader(http.StatusBadGateway)
}

// metricsOf is what the kube-state-metrics of a shard expose.
func metricsOf(shard v1alpha1.Shard) string {
	gateShard := sharding.Shard{ID: shard.ID, Total: shard.Total}
	var text strings.Builder
	for i := range objects {
		uid := types.UID(fmt.Sprintf("6f1f4b6e-0000-4000-8000-%012d", i))
		if !gateShard.Has(uid) {
			continue
		}
		_, _ = fmt.Fprintf(&text, "kube_pod_info{namespace=\"shop\",pod=\"web-%d\",uid=\"%s\",node=\"node-1\"} 1\n", i, uid)
		_, _ = fmt.Fprintf(&text, "kube_customresource_phase{instance=\"own-%d\",uid=\"%s\"} 1\n", i, uid)
	}
	return text.String()
}

// serviceTarget is what Prometheus finds of a Service's only port.
func serviceTarget(shard v1alpha1.Shard, address string) server.Target {
	port := strconv.Itoa(int(v1alpha1.PortMetrics))
	return server.Target{
		Targets: []string{cmp.Or(address, net.JoinHostPort(serviceHost(shard), port))},
		Labels: withLabels("__meta_kubernetes_service_label_", shard, map[string]string{
			"__meta_kubernetes_namespace":             namespace,
			"__meta_kubernetes_service_name":          shard.Name(),
			"__meta_kubernetes_service_port_name":     v1alpha1.PortNameMetrics,
			"__meta_kubernetes_service_port_number":   port,
			"__meta_kubernetes_service_port_protocol": "TCP",
		}),
	}
}

// podTargets are what Prometheus finds of a pod: a target for each port of each container.
func podTargets(shard v1alpha1.Shard, replicaID int) []server.Target {
	var targets []server.Target
	for _, port := range []struct {
		container, name string
		number          int32
	}{
		{"kube-state-metrics", v1alpha1.PortNameMetrics, v1alpha1.PortMetrics},
		{"kube-state-metrics", v1alpha1.PortNameTelemetry, v1alpha1.PortTelemetry},
		{"gate", v1alpha1.PortNameGate, v1alpha1.PortGate},
	} {
		number := strconv.Itoa(int(port.number))
		targets = append(targets, server.Target{
			Targets: []string{net.JoinHostPort(podHost(shard, replicaID), number)},
			Labels: withLabels("__meta_kubernetes_pod_label_", shard, map[string]string{
				"__meta_kubernetes_namespace":                 namespace,
				"__meta_kubernetes_pod_name":                  fmt.Sprintf("%s-%d", shard.Name(), replicaID),
				"__meta_kubernetes_pod_phase":                 "Running",
				"__meta_kubernetes_pod_ready":                 "true",
				"__meta_kubernetes_pod_container_name":        port.container,
				"__meta_kubernetes_pod_container_port_name":   port.name,
				"__meta_kubernetes_pod_container_port_number": number,
			}),
		})
	}
	return targets
}

var notInLabels = regexp.MustCompile(`[^a-zA-Z0-9_]`)

// withLabels adds the labels of an object of a shard, in the spelling of Prometheus.
func withLabels(prefix string, shard v1alpha1.Shard, meta map[string]string) map[string]string {
	for key, value := range shard.Selector() {
		meta[prefix+notInLabels.ReplaceAllString(key, "_")] = value
	}
	return meta
}
