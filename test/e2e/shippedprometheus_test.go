package e2e

import (
	"context"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/prometheus/client_golang/api"
	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/cluster"
)

// startShipped starts Debian's Prometheus twice, for the shards of a KSMScale: with the job for their Services that
// deploy/prometheus has, and with that for every pod. They end with the test.
func startShipped(t *testing.T, objects string, ksmScale *v1alpha1.KSMScale) []*prometheusServer {
	t.Helper()
	discovery := httptest.NewServer(targetDiscovery{ksmScale.Name})
	t.Cleanup(discovery.Close)
	return []*prometheusServer{
		startPrometheus(t, objects, &prometheusServer{
			name: "deploy, Services", ruleFiles: []string{"rules.yaml"},
		}, shippedJob(t, "prometheus.yaml", discovery.URL+"/services")),
		startPrometheus(t, objects, &prometheusServer{
			name: "deploy, every pod", ruleFiles: []string{"rules.yaml", "deduplicate.yaml"}, everyPod: true,
		}, shippedJob(t, "every-pod.yaml", discovery.URL+"/pods")),
	}
}

func startPrometheus(t *testing.T, objects string, server *prometheusServer, job map[string]any) *prometheusServer {
	t.Helper()
	directory := t.TempDir()
	write := func(name string, content any) string {
		data, err := yaml.Marshal(content)
		require.NoError(t, err)
		file := filepath.Join(directory, name)
		require.NoError(t, os.WriteFile(file, data, 0o600))
		return file
	}
	ruleFiles := []string{write("test.yaml", testRules(objects))}
	for _, name := range server.ruleFiles {
		ruleFiles = append(ruleFiles, shippedFile(name))
	}
	config := write("prometheus.yaml", map[string]any{
		"global":         map[string]any{"scrape_interval": prometheusInterval.String(), "evaluation_interval": prometheusInterval.String()},
		"rule_files":     ruleFiles,
		"scrape_configs": []any{job},
	})
	program, err := exec.LookPath("prometheus")
	require.NoError(t, err, "`make prometheus-package` installs Debian's package")
	address := freeAddress(t)
	startProgram(t, "Prometheus", exec.Command(program,
		"--config.file="+config, "--storage.tsdb.path="+filepath.Join(directory, "data"), "--web.listen-address="+address, "--log.level=warn"))
	connection, err := api.NewClient(api.Config{Address: "http://" + address})
	require.NoError(t, err)
	server.API = prometheusv1.NewAPI(connection)
	return server
}

// startProgram runs a program until the test has ended, and shows what it has said if that failed.
func startProgram(t *testing.T, name string, command *exec.Cmd) {
	t.Helper()
	output := filepath.Join(t.TempDir(), "log")
	process, err := cluster.StartProcess(name, output, command)
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, process.Terminate(context.WithoutCancel(t.Context())))
		if said, err := os.ReadFile(output); t.Failed() && err == nil {
			t.Logf("%s:\n%s", name, said)
		}
	})
}

// freeAddress is one that nobody listens on. Nothing reserves it.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

// shippedJob is the job of a file for the metrics of objects, but for who tells of the targets.
func shippedJob(t *testing.T, file, discovery string) map[string]any {
	t.Helper()
	jobs := shippedJobs(t, file, v1alpha1.JobMetrics)
	require.Len(t, jobs, 1)
	led := maps.Clone(jobs[0])
	delete(led, "kubernetes_sd_configs")
	led["http_sd_configs"] = []any{map[string]any{"url": discovery, "refresh_interval": "1s"}}
	return led
}

// shippedJobs are the jobs of a file that have one of these names.
func shippedJobs(t *testing.T, file string, names ...string) []map[string]any {
	t.Helper()
	data, err := os.ReadFile(shippedFile(file))
	require.NoError(t, err)
	var config struct {
		Jobs []map[string]any `json:"scrape_configs"`
	}
	require.NoError(t, yaml.Unmarshal(data, &config))
	return slices.DeleteFunc(config.Jobs, func(job map[string]any) bool {
		name, _ := job["job_name"].(string)
		return !slices.Contains(names, name)
	})
}

// targetDiscovery tells Prometheus of the Services and pods of a KSMScale, as its own service discovery would.
type targetDiscovery struct{ ksmScale string }

// target is one as Prometheus reads it from HTTP service discovery.
type target struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

func (d targetDiscovery) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	find := d.services
	if request.URL.Path == "/pods" {
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

func (d targetDiscovery) services(ctx context.Context) ([]target, error) {
	var services corev1.ServiceList
	if err := shared.client.List(ctx, &services, client.MatchingLabels{v1alpha1.LabelKSMScale: d.ksmScale}); err != nil {
		return nil, err
	}
	targets := []target{}
	for _, service := range services.Items {
		for _, port := range service.Spec.Ports {
			targets = append(targets, target{
				Targets: []string{net.JoinHostPort(service.Spec.ClusterIP, strconv.Itoa(int(port.Port)))},
				Labels:  map[string]string{"__meta_kubernetes_service_name": service.Name, "__meta_kubernetes_service_port_name": port.Name},
			})
		}
	}
	return targets, nil
}

func (d targetDiscovery) pods(ctx context.Context) ([]target, error) {
	var pods corev1.PodList
	if err := shared.client.List(ctx, &pods, client.MatchingLabels{v1alpha1.LabelKSMScale: d.ksmScale}); err != nil {
		return nil, err
	}
	targets := []target{}
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

func podTarget(pod corev1.Pod, port corev1.ContainerPort) target {
	ready := corev1.ConditionUnknown
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			ready = condition.Status
		}
	}
	const prefix = "__meta_kubernetes_pod_"
	return target{
		Targets: []string{net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(int(port.ContainerPort)))},
		Labels: map[string]string{
			prefix + "name":                       pod.Name,
			prefix + "ready":                      map[corev1.ConditionStatus]string{corev1.ConditionTrue: "true", corev1.ConditionFalse: "false"}[ready],
			prefix + "container_port_name":        port.Name,
			prefix + "label_ksmscale_example_com": pod.Labels[v1alpha1.LabelKSMScale],
			prefix + "label_shard_id":             pod.Labels[v1alpha1.LabelShardID],
			prefix + "label_total_shards":         pod.Labels[v1alpha1.LabelTotalShards],
		},
	}
}
