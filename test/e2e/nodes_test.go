package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/cluster"
)

// The other tests rely on what this one shows of the nodes.
func TestRealNodes(t *testing.T) {
	needsLocal(t)
	nodes, err := shared.clientset.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, nodes.Items, cluster.MaxRealNodes)
	for _, node := range nodes.Items {
		assert.Equal(t, node.Name, node.Labels[corev1.LabelHostname])
		assert.Equal(t, strings.Replace(node.Name, "node", "zone", 1), node.Labels[corev1.LabelTopologyZone])
		assert.Empty(t, node.Spec.Taints)
		assert.EqualValues(t, 250, node.Status.Allocatable.Pods().Value())
	}

	namespace := restricted(t)
	role, binding := mayListNodes(namespace)
	deployment, service := metricsServer(namespace, "v2.18.0", 2)
	create(t, role, binding, deployment, service)
	awaitAvailable(t, namespace, deployment.Name)
	running := pods(t, namespace, "app="+deployment.Name)
	require.Len(t, running, 2)

	t.Run("pods are spread", func(t *testing.T) {
		assert.NotEqual(t, running[0].Spec.NodeName, running[1].Spec.NodeName)
	})
	t.Run("a Service leads to them", func(t *testing.T) {
		require.NoError(t, shared.client.Get(t.Context(), client.ObjectKeyFromObject(service), service))
		await(t, "metrics of both nodes", func(ctx context.Context) error {
			body, err := get(ctx, fmt.Sprintf("http://%s:%d/metrics", service.Spec.ClusterIP, v1alpha1.PortMetrics))
			if err == nil && strings.Count(body, "\nkube_node_info{") != len(nodes.Items) {
				err = fmt.Errorf("not all nodes are in it:\n%s", body)
			}
			return err
		})
	})
	t.Run("pods are logged", func(t *testing.T) {
		for _, pod := range running {
			assert.Contains(t, kubectl(t, "logs", "-n", namespace, pod.Name), "Starting")
		}
	})
	t.Run("a limit takes effect", func(t *testing.T) {
		for _, pod := range running {
			quota, throttled := throttling(t, pod.Status.ContainerStatuses[0].ContainerID)
			assert.InDelta(t, 0.1, quota, 0.001, "of a CPU")
			assert.Positive(t, throttled, "times, at its start at least")
		}
	})
}

func TestRestartAPIServer(t *testing.T) {
	needsLocal(t)
	before, err := shared.clientset.ServerVersion()
	require.NoError(t, err)
	require.NoError(t, shared.cluster.APIServers()[0].Restart(t.Context()))
	require.NoError(t, shared.cluster.Check())
	after, err := shared.clientset.ServerVersion()
	require.NoError(t, err)
	assert.Equal(t, before, after)
}

// throttling returns how much CPU a container may use, and how often it was throttled, from its control group of version 1
// or 2.
func throttling(t *testing.T, containerID string) (quota float64, throttled int) {
	t.Helper()
	_, id, _ := strings.Cut(containerID, "://")
	for _, pattern := range []string{"/sys/fs/cgroup/cpu/*/", "/sys/fs/cgroup/*/"} {
		groups, err := filepath.Glob(pattern + id)
		require.NoError(t, err)
		for _, group := range groups {
			_, count, ok := strings.Cut(read(t, group, "cpu.stat"), "nr_throttled ")
			require.True(t, ok)
			fields := strings.Fields(count)
			throttled, err = strconv.Atoi(fields[0])
			require.NoError(t, err)
			limit := strings.Fields(read(t, group, "cpu.max") + read(t, group, "cpu.cfs_quota_us") + read(t, group, "cpu.cfs_period_us"))
			require.Len(t, limit, 2)
			return number(t, limit[0]) / number(t, limit[1]), throttled
		}
	}
	t.Fatalf("no control group of container %s", containerID)
	return 0, 0
}

// read returns an empty text for a missing file.
func read(t *testing.T, folder, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		require.ErrorIs(t, err, os.ErrNotExist)
	}
	return string(text)
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	value, err := strconv.ParseFloat(text, 64)
	require.NoError(t, err)
	return value
}

func get(ctx context.Context, url string) (string, error) {
	getRequest, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(getRequest)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return string(body), err
}
