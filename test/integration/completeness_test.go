package integration

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/completeness"
	"github.com/example/ksmscale/measurements"
	"github.com/example/ksmscale/telemetry"
	"github.com/example/ksmscale/test/churn"
	"github.com/example/ksmscale/test/cluster"
)

const (
	countedShards    = 2
	countedObjects   = 300
	countedNamespace = "counted"
	// countedVersion has no known bugs, so only the test makes it lose objects.
	countedVersion = "v2.20.0"
	// churnVariable is how long objects come and go; the default is short.
	churnVariable = "CHURN"
	churnRate     = 100
	churnLife     = 3 * time.Second
)

// Gates and kube-state-metrics are real processes here. One kube-state-metrics is replaced behind its gate, which does not
// notice, because the gate reads the process from the first one.
func TestLostObjectsAreFound(t *testing.T) {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: countedNamespace}}
	require.NoError(t, shared.client.Create(t.Context(), namespace))
	t.Cleanup(func() { _ = shared.client.Delete(context.Background(), namespace) })
	createCounted(t)
	shards := []*countedShard{startCountedShard(t, 0), startCountedShard(t, 1)}
	var partition completeness.Partition

	complete := awaitCounts(t, &partition, shards, func(result completeness.Result) bool { return result.Known })
	assert.Zero(t, complete.Total(), complete)
	assert.Empty(t, complete.NotCompared)
	assert.Len(t, complete.Resources, 3)

	rate := comeAndGo(t, func() {
		result := awaitCounts(t, &partition, shards, func(completeness.Result) bool { return true })
		assert.Zero(t, result.Total(), "no false alarm: %v", result.Resources)
	})
	t.Logf("%.0f objects a second came and went", rate)

	for _, test := range []struct {
		name  string
		flags []string
		found func(completeness.Result) bool
	}{
		{"another number of shards", []string{"--shard=1", "--total-shards=20"}, func(result completeness.Result) bool {
			return result.Resources["configmaps"].Objects > 0 && result.Resources["pods"].Objects > 0 && assert.ObjectsAreEqual([]int32{1}, result.Resources["configmaps"].Shards)
		}},
		{"a filter of namespaces", []string{"--shard=1", "--total-shards=2", "--namespaces=default"}, func(result completeness.Result) bool {
			return result.Resources["configmaps"].Objects > 0
		}},
		{"the other shard", []string{"--shard=0", "--total-shards=2"}, func(result completeness.Result) bool {
			pods := result.Resources["pods"]
			return pods.Foreign > 0 && assert.ObjectsAreEqual([]int32{1}, pods.ForeignShards)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			replaced := shards[1].replace(t, test.flags...)
			began := time.Now()
			found := awaitCounts(t, &partition, shards, test.found)
			t.Logf("found after %s: %v", time.Since(began).Round(time.Second), found.Resources)
			replaced.Kill()
			shards[1].restore()
			awaitCounts(t, &partition, shards, func(result completeness.Result) bool {
				return result.Total() == 0 && result.Resources["pods"].Foreign == 0
			})
		})
	}
}

func createCounted(t *testing.T) {
	t.Helper()
	var group errgroup.Group
	group.SetLimit(8)
	for i := range countedObjects {
		group.Go(func() error {
			meta := metav1.ObjectMeta{Namespace: countedNamespace, Name: fmt.Sprintf("counted-%d", i)}
			return errors.Join(
				shared.client.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: meta}),
				// No scheduler knows these pods.
				shared.client.Create(t.Context(), &corev1.Pod{ObjectMeta: meta, Spec: corev1.PodSpec{
					SchedulerName: "none", Containers: []corev1.Container{{Name: "main", Image: "main"}},
				}}),
			)
		})
	}
	require.NoError(t, group.Wait())
}

// comeAndGo lets ConfigMaps come and go. Meanwhile it calls a function again and again.
// It returns the rate.
func comeAndGo(t *testing.T, meanwhile func()) float64 {
	t.Helper()
	duration := 20 * time.Second
	if text := os.Getenv(churnVariable); text != "" {
		var err error
		duration, err = time.ParseDuration(text)
		require.NoError(t, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), duration)
	defer cancel()
	one := func(number int) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: countedNamespace, Name: fmt.Sprintf("passing-%d", number)}}
	}
	created := 0
	var group errgroup.Group
	group.Go(func() (err error) {
		created, err = churn.Run(ctx, churnRate, churnLife,
			func(ctx context.Context, number int) error { return shared.client.Create(ctx, one(number)) },
			func(ctx context.Context, number int) error {
				return client.IgnoreNotFound(shared.client.Delete(ctx, one(number)))
			})
		return err
	})
	for ctx.Err() == nil {
		meanwhile()
	}
	require.NoError(t, group.Wait())
	return float64(created) / duration.Seconds()
}

// awaitCounts adds the counts of the gates each half second, until a result will do. It returns the result.
func awaitCounts(t *testing.T, partition *completeness.Partition, shards []*countedShard, willDo func(completeness.Result) bool) completeness.Result {
	t.Helper()
	var result completeness.Result
	require.EventuallyWithT(t, func(collect *assert.CollectT) {
		var readings []completeness.Reading
		for _, one := range shards {
			measurement, err := measurements.Read(t.Context(), telemetry.Client{}, fmt.Sprintf("http://127.0.0.1:%d/metrics", one.gate))
			if !assert.NoError(collect, err) {
				return
			}
			readings = append(readings, completeness.Reading{Pod: fmt.Sprint(one.id), Shard: int32(one.id), Counts: measurement.Counts})
		}
		partition.Add(countedShards, readings, time.Now())
		result = partition.Result(time.Now())
		assert.True(collect, willDo(result), result)
	}, eventually, 500*time.Millisecond)
	return result
}

// countedShard is a kube-state-metrics with its gate, and a proxy between them.
type countedShard struct {
	id, gate int
	first    *url.URL
	behind   atomic.Pointer[url.URL]
}

func startCountedShard(t *testing.T, id int) *countedShard {
	t.Helper()
	shard := &countedShard{id: id}
	metrics, own := shard.startMonitor(t, fmt.Sprintf("--shard=%d", id), fmt.Sprintf("--total-shards=%d", countedShards))
	shard.first = metrics.address
	shard.restore()
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(request *httputil.ProxyRequest) { request.SetURL(shard.behind.Load()) }})
	t.Cleanup(proxy.Close)
	ports, err := cluster.FreePorts(t.Context(), 1)
	require.NoError(t, err)
	shard.gate = ports[0]
	startCounted(t, "gate", "--kubeconfig="+shared.cluster.Kubeconfig(), fmt.Sprintf("--bind-address=127.0.0.1:%d", shard.gate),
		"--metrics-url="+proxy.URL+"/metrics", "--telemetry-url="+own, "--resources=pods,configmaps,namespaces",
		fmt.Sprintf("--shard=%d", id), fmt.Sprintf("--total-shards=%d", countedShards), "--count-interval=1s")
	return shard
}

// monitorProcess is a running kube-state-metrics.
type monitorProcess struct {
	*cluster.Process
	address *url.URL
}

func (s *countedShard) startMonitor(t *testing.T, flags ...string) (started monitorProcess, telemetryURL string) {
	t.Helper()
	ports, err := cluster.FreePorts(t.Context(), 2)
	require.NoError(t, err)
	process := startCounted(t, "kube-state-metrics-"+countedVersion, append(flags, "--kubeconfig="+shared.cluster.Kubeconfig(), "--resources=pods,configmaps,namespaces",
		"--host=127.0.0.1", fmt.Sprintf("--port=%d", ports[0]), "--telemetry-host=127.0.0.1", fmt.Sprintf("--telemetry-port=%d", ports[1]))...)
	address, err := url.Parse(fmt.Sprintf("http://127.0.0.1:%d", ports[0]))
	require.NoError(t, err)
	return monitorProcess{process, address}, telemetry.URL("127.0.0.1", int32(ports[1]))
}

// replace puts another kube-state-metrics behind the gate.
func (s *countedShard) replace(t *testing.T, flags ...string) *cluster.Process {
	t.Helper()
	other, _ := s.startMonitor(t, flags...)
	s.behind.Store(other.address)
	return other.Process
}

// restore puts the first kube-state-metrics behind the gate again.
func (s *countedShard) restore() { s.behind.Store(s.first) }

func startCounted(t *testing.T, program string, flags ...string) *cluster.Process {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "bin", program))
	require.NoError(t, err)
	name := fmt.Sprintf("counted-%s-%d", program, time.Now().UnixNano())
	process, err := cluster.StartProcess(name, filepath.Join(shared.cluster.Logs(), name+".log"), exec.Command(path, flags...))
	require.NoError(t, err)
	t.Cleanup(process.Kill)
	return process
}
