package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/cluster"
)

const (
	prometheusObjects = 600
	// tenths are the steps in which what was stored is looked at in retrospect.
	tenths = 100 * time.Millisecond
)

// A real Prometheus that scrapes as we ship it has each object once, always, whatever happens to the shards.
func TestPrometheus(t *testing.T) {
	needsLocal(t)
	install(t)
	namespace := makeObjects(t, prometheusObjects)
	pods := len(pods(t, namespace, ""))
	ksmScale := newKSMScale()
	create(t, ksmScale)
	awaitReady(t, ksmScale)
	prometheus := startPrometheus(t, ksmScale, namespace)
	prometheus.await(t, "test:pods", pods)
	complete := time.Now()

	for _, event := range []struct {
		name   string
		happen func(*testing.T, *v1alpha1.KSMScale)
	}{
		{"scale up to three replicas", change(replicas(3))},
		{"a replica dies", deletePod},
		{"rollout", change(args("--metric-labels-allowlist=pods=[app]"))},
		{"reshard 3 to 2", change(shards(2))},
	} {
		t.Logf("%s after %s", event.name, time.Since(complete))
		event.happen(t, ksmScale)
		prometheus.awaitEvaluations(t)
	}
	prometheus.await(t, `count(up{job="kube-state-metrics", instance=~".*-of-2"} == 1)`, 2)
	prometheus.assertConstant(t, complete, namespace, pods)
	series := fmt.Sprintf("last_over_time(kube_pod_info{namespace=%q}[1h])", namespace)
	assert.Len(t, prometheus.vector(t, series), pods, "a series has changed its labels")
	for _, sample := range prometheus.vector(t, series) {
		require.Equal(t, v1alpha1.JobMetrics, string(sample.Metric["job"]))
		require.NotContains(t, sample.Metric, model.LabelName("instance"))
	}
}

// prometheusServer is a real Prometheus.
type prometheusServer struct{ prometheusv1.API }

// startPrometheus starts a Prometheus with the job that we ship, for the Services of a KSMScale, until the test ends. Debian's
// is built without service discovery by Kubernetes: it is told of the Services by this process.
func startPrometheus(t *testing.T, ksmScale *v1alpha1.KSMScale, namespace string) prometheusServer {
	t.Helper()
	discovery := httptest.NewServer(serviceDiscovery{ksmScale.Name})
	t.Cleanup(discovery.Close)
	directory := t.TempDir()
	write := func(name string, content any) string {
		data, err := yaml.Marshal(content)
		require.NoError(t, err)
		file := filepath.Join(directory, name)
		require.NoError(t, os.WriteFile(file, data, 0o600))
		return file
	}
	info := fmt.Sprintf("kube_pod_info{namespace=%q}", namespace)
	rules := write("rules.yaml", map[string]any{"groups": []any{map[string]any{"name": "test", "rules": []any{
		map[string]any{"record": "test:pods", "expr": fmt.Sprintf("count(%s)", info)},
		map[string]any{"record": "test:twice", "expr": fmt.Sprintf("count(%s) - count(count by (uid) (%s))", info, info)},
	}}}})
	config := write("prometheus.yaml", map[string]any{
		"global":         map[string]any{"scrape_interval": scrapeInterval.String(), "evaluation_interval": scrapeInterval.String()},
		"rule_files":     []string{rules},
		"scrape_configs": []any{shippedJob(t, discovery.URL)},
	})
	program, err := exec.LookPath("prometheus")
	require.NoError(t, err, "`make prometheus-package` installs Debian's package")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	output := filepath.Join(directory, "log")
	process, err := cluster.StartProcess("prometheus", output, exec.Command(program,
		"--config.file="+config, "--storage.tsdb.path="+filepath.Join(directory, "data"), "--web.listen-address="+address, "--log.level=warn"))
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, process.Terminate(context.WithoutCancel(t.Context())))
		if said, err := os.ReadFile(output); t.Failed() && err == nil {
			t.Logf("Prometheus:\n%s", said)
		}
	})
	api, err := api.NewClient(api.Config{Address: "http://" + address})
	require.NoError(t, err)
	return prometheusServer{prometheusv1.NewAPI(api)}
}

// shippedJob is the job of deploy/prometheus for the metrics of objects, but for who tells of the targets.
func shippedJob(t *testing.T, discovery string) map[string]any {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(shared.root, "deploy", "prometheus", "prometheus.yaml"))
	require.NoError(t, err)
	var config struct {
		Jobs []map[string]any `json:"scrape_configs"`
	}
	require.NoError(t, yaml.Unmarshal(data, &config))
	for _, job := range config.Jobs {
		if job["job_name"] == v1alpha1.JobMetrics {
			led := maps.Clone(job)
			delete(led, "kubernetes_sd_configs")
			led["http_sd_configs"] = []any{map[string]any{"url": discovery, "refresh_interval": "1s"}}
			return led
		}
	}
	require.Fail(t, "the job is not shipped")
	return nil
}

// serviceDiscovery tells Prometheus of the Services of a KSMScale, as its own service discovery would.
type serviceDiscovery struct{ ksmScale string }

func (d serviceDiscovery) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	var services corev1.ServiceList
	if err := shared.client.List(request.Context(), &services, client.MatchingLabels{v1alpha1.LabelKSMScale: d.ksmScale}); err != nil {
		// Prometheus then keeps the targets that it has.
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	type target struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
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
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(targets)
}

// vector is the present value of an expression.
func (s prometheusServer) vector(t *testing.T, expression string) model.Vector {
	t.Helper()
	vector, err := s.query(t.Context(), expression)
	require.NoError(t, err)
	return vector
}

func (s prometheusServer) query(ctx context.Context, expression string) (model.Vector, error) {
	value, _, err := s.Query(ctx, expression, time.Time{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", expression, err)
	}
	vector, ok := value.(model.Vector)
	if !ok {
		return nil, fmt.Errorf("%s is a %s", expression, value.Type())
	}
	return vector, nil
}

// await waits until an expression has one value, and that is the one given.
func (s prometheusServer) await(t *testing.T, expression string, wanted int) {
	t.Helper()
	await(t, expression, func(ctx context.Context) error {
		vector, err := s.query(ctx, expression)
		if err != nil {
			return err
		}
		if len(vector) != 1 || int(vector[0].Value) != wanted {
			return fmt.Errorf("it is %v, not %d", vector, wanted)
		}
		return nil
	})
}

// awaitEvaluations waits until the rules have been evaluated twice more.
func (s prometheusServer) awaitEvaluations(t *testing.T) {
	t.Helper()
	const count = "count_over_time(test:twice[1h])"
	before := s.vector(t, count)
	require.Len(t, before, 1)
	await(t, "two evaluations", func(ctx context.Context) error {
		now, err := s.query(ctx, count)
		if err != nil {
			return err
		}
		if len(now) != 1 || now[0].Value < before[0].Value+2 {
			return fmt.Errorf("there were %v, and are %v", before, now)
		}
		return nil
	})
}

// assertConstant asserts that since a time there have always been that many pods, and none of them twice: as it was
// recorded at each evaluation, none of which is left out, and as a graph shows it now.
func (s prometheusServer) assertConstant(t *testing.T, since time.Time, namespace string, pods int) {
	t.Helper()
	now := time.Now()
	matrix := func(value model.Value, err error) []model.SamplePair {
		require.NoError(t, err)
		is, ok := value.(model.Matrix)
		require.True(t, ok)
		require.Len(t, is, 1)
		return is[0].Values
	}
	for expression, wanted := range map[string]int{"test:pods": pods, "test:twice": 0} {
		value, _, err := s.Query(t.Context(), expression+"[1h]", now)
		last := since
		for _, sample := range matrix(value, err) {
			at := sample.Timestamp.Time()
			if !at.After(since) {
				continue
			}
			assert.EqualValues(t, wanted, sample.Value, "%s %s after", expression, at.Sub(since))
			assert.Less(t, at.Sub(last), 2*scrapeInterval, "%s has no value before %s", expression, at.Sub(since))
			last = at
		}
		assert.Less(t, now.Sub(last), 2*scrapeInterval, expression)
	}
	// More steps than this Prometheus refuses.
	const maxSteps = 10_000
	for start := since; start.Before(now); start = start.Add(maxSteps * tenths) {
		end := start.Add((maxSteps - 1) * tenths)
		if end.After(now) {
			end = now
		}
		steps := prometheusv1.Range{Start: start, End: end, Step: tenths}
		value, _, err := s.QueryRange(t.Context(), fmt.Sprintf("count(kube_pod_info{namespace=%q})", namespace), steps)
		samples := matrix(value, err)
		assert.Len(t, samples, int(end.Sub(start)/tenths)+1, "there are moments without any pod")
		for _, sample := range samples {
			assert.EqualValues(t, pods, sample.Value, "in retrospect %s after", sample.Timestamp.Time().Sub(since))
		}
	}
}
