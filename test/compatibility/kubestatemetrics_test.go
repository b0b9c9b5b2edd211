package compatibility

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/example/ksmscale/test/cluster"
	"github.com/example/ksmscale/test/versions"
)

const (
	// pods is how many there are.
	pods   = 300
	shards = 2
	// resources are exported by every version.
	resources = "configmaps,cronjobs,daemonsets,deployments,endpointslices,horizontalpodautoscalers,ingresses,jobs,leases,limitranges," +
		"namespaces,networkpolicies,nodes,persistentvolumeclaims,persistentvolumes,poddisruptionbudgets,pods,replicasets," +
		"replicationcontrollers,resourcequotas,services,statefulsets,storageclasses,volumeattachments"
)

func TestKubeStateMetrics(t *testing.T) {
	local := cluster.StartT(t, cluster.Options{})
	require.NoError(t, local.SetNodes(t.Context(), 10))
	client, err := kubernetes.NewForConfig(local.Config())
	require.NoError(t, err)
	for i := range pods {
		_, err := client.CoreV1().Pods(metav1.NamespaceDefault).Create(t.Context(), &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("pod-%d", i)},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "main"}}},
		}, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	for _, version := range versions.Run(t, root, "kube-state-metrics", "itself") {
		t.Run(version, func(t *testing.T) { testKubeStateMetrics(t, local, version) })
	}
}

// testKubeStateMetrics checks the gates of a version's shards. They open once the shards expose everything, close when a
// shard ends, and open again.
func testKubeStateMetrics(t *testing.T, local *cluster.Cluster, version string) {
	var running []*shard
	for id := range shards {
		started := newShard(t, local, version, id)
		started.startMonitor(t)
		started.startGate(t)
		running = append(running, started)
	}
	exposed := map[string]int{}
	for _, one := range running {
		one.awaitGate(t, http.StatusOK)
		require.Regexp(t, `(?m)^ksmscale_gate_opened_by_deadline_total 0$`, get(t, one.gateURL("/metrics")))
		metrics := get(t, fmt.Sprintf("http://127.0.0.1:%d/metrics", one.metrics))
		for _, match := range podInfo.FindAllStringSubmatch(metrics, -1) {
			exposed[match[1]]++
		}
	}
	assert.Len(t, exposed, pods, "an open gate tells that everything is exposed")
	for pod, times := range exposed {
		assert.Equal(t, 1, times, "%s is exposed by one shard", pod)
	}

	first := running[0]
	first.monitor.Kill()
	first.awaitGate(t, http.StatusServiceUnavailable)
	first.startMonitor(t)
	first.awaitGate(t, http.StatusOK)
}

var podInfo = regexp.MustCompile(`(?m)^kube_pod_info\{.*\bpod="(pod-\d+)"`)

// shard is a kube-state-metrics with its gate.
type shard struct {
	local                    *cluster.Cluster
	version                  string
	metrics, telemetry, gate int
	flags                    []string
	monitor                  *cluster.Process
}

func newShard(t *testing.T, local *cluster.Cluster, version string, id int) *shard {
	t.Helper()
	ports, err := cluster.FreePorts(t.Context(), 3)
	require.NoError(t, err)
	return &shard{
		local: local, version: version, metrics: ports[0], telemetry: ports[1], gate: ports[2],
		flags: []string{"--kubeconfig=" + local.Kubeconfig(), "--resources=" + resources, fmt.Sprintf("--shard=%d", id), fmt.Sprintf("--total-shards=%d", shards)},
	}
}

func (s *shard) start(t *testing.T, binary string, flags ...string) *cluster.Process {
	t.Helper()
	name := fmt.Sprintf("%s-%d", filepath.Base(binary), s.gate)
	process, err := cluster.StartProcess(name, filepath.Join(s.local.Logs(), name+".log"), exec.Command(binary, append(flags, s.flags...)...))
	require.NoError(t, err)
	t.Cleanup(process.Kill)
	return process
}

func (s *shard) startMonitor(t *testing.T) {
	t.Helper()
	s.monitor = s.start(t, program(t, "kube-state-metrics-"+s.version),
		"--host=127.0.0.1", fmt.Sprintf("--port=%d", s.metrics), "--telemetry-host=127.0.0.1", fmt.Sprintf("--telemetry-port=%d", s.telemetry))
}

func (s *shard) startGate(t *testing.T) {
	t.Helper()
	s.start(t, program(t, "gate"), fmt.Sprintf("--bind-address=127.0.0.1:%d", s.gate),
		fmt.Sprintf("--metrics-url=http://127.0.0.1:%d/metrics", s.metrics), fmt.Sprintf("--telemetry-url=http://127.0.0.1:%d/metrics", s.telemetry))
}

// program is the path of a built program. Versions that only these tests run are in a separate folder.
func program(t *testing.T, name string) string {
	t.Helper()
	for _, folder := range []string{"bin", filepath.Join("bin", "compatibility")} {
		path, err := filepath.Abs(filepath.Join(root, folder, name))
		require.NoError(t, err)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	require.Fail(t, "not built", "%s: run `make compatibility`", name)
	return ""
}

func (s *shard) gateURL(path string) string {
	return fmt.Sprintf("http://127.0.0.1:%d%s", s.gate, path)
}

func (s *shard) awaitGate(t *testing.T, status int) {
	t.Helper()
	require.EventuallyWithT(t, func(collect *assert.CollectT) {
		response, err := http.Get(s.gateURL("/readyz"))
		require.NoError(collect, err)
		defer response.Body.Close()
		require.Equal(collect, status, response.StatusCode)
	}, eventually, poll)
}

func get(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(body)
}
