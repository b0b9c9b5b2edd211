package prometheus

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/prometheus/server"
)

// replica is a kube-state-metrics of a shard.
type replica struct {
	*httptest.Server
	scrapes atomic.Int64
}

func newReplica(t *testing.T, shard v1alpha1.Shard) *replica {
	t.Helper()
	is := &replica{}
	is.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, metricsOf(shard))
		is.scrapes.Add(1)
	}))
	t.Cleanup(is.Close)
	return is
}

// service leads each connection to one of the replicas, as a Service does: one that there is stays with its replica,
// whether that is ready or not.
type service struct {
	listener net.Listener

	mu    sync.Mutex
	ready []*replica
	next  int
}

func newService(t *testing.T) *service {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	is := &service{listener: listener}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go is.lead(connection)
		}
	}()
	return is
}

func (s *service) lead(from net.Conn) {
	defer from.Close()
	s.mu.Lock()
	if len(s.ready) == 0 {
		s.mu.Unlock()
		return
	}
	s.next = (s.next + 1) % len(s.ready)
	address := s.ready[s.next].Listener.Addr()
	s.mu.Unlock()
	to, err := net.Dial(address.Network(), address.String())
	if err != nil {
		return
	}
	defer to.Close()
	go func() {
		_, _ = io.Copy(to, from)
		_ = to.Close()
	}()
	_, _ = io.Copy(from, to)
}

func (s *service) add(replicas ...*replica) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = append(s.ready, replicas...)
}

// remove takes a replica from those that new connections are led to.
func (s *service) remove(gone *replica) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = slices.DeleteFunc(s.ready, func(is *replica) bool { return is == gone })
}

// serving is the replica that Prometheus is connected to.
func (s *service) serving(t *testing.T) *replica {
	t.Helper()
	s.mu.Lock()
	ready := slices.Clone(s.ready)
	s.mu.Unlock()
	before := make([]int64, len(ready))
	for i, replica := range ready {
		before[i] = replica.scrapes.Load()
	}
	var is *replica
	require.Eventually(t, func() bool {
		for i, replica := range ready {
			if replica.scrapes.Load() > before[i] {
				is = replica
			}
		}
		return is != nil
	}, eventually, poll)
	return is
}

// No series is missing or there twice while replicas come, are replaced, and end at once, between two scrapes.
func TestReplicas(t *testing.T) {
	t.Parallel()
	shard := v1alpha1.Shard{KSMScale: "main", ID: 0, Total: 1}
	service := newService(t)
	service.add(newReplica(t, shard))
	cluster := newCluster(t, 0)
	cluster.address = service.listener.Addr().String()
	cluster.has(1)
	prometheus := start(t, cluster, server.ScrapeConfigs(t, "prometheus.yaml"))
	prometheus.Await(t, "test:pods", objects)
	complete := time.Now()

	// Scaled up, and then without the one that is connected to.
	service.add(newReplica(t, shard), newReplica(t, shard))
	dies := service.serving(t)
	service.remove(dies)
	dies.Close()
	assert.NotSame(t, dies, service.serving(t))

	// Replaced one by one: one that leaves is led to no longer, goes on serving for a while, and then ends.
	for range 2 {
		leaves := service.serving(t)
		service.add(newReplica(t, shard))
		service.remove(leaves)
		served := leaves.scrapes.Load()
		require.Eventually(t, func() bool { return leaves.scrapes.Load() > served }, eventually, poll)
		leaves.Close()
	}
	service.serving(t)
	prometheus.AwaitEvaluation(t, time.Now())
	prometheus.AssertConstant(t, complete, objects, nil)
	assert.Len(t, prometheus.Vector(t, "last_over_time(kube_pod_info[1h])"), objects)
	assert.Empty(t, prometheus.Scrapes(t, time.Time{}).Failed)
}

// A scrape that times out is known by how long it took, from one that is refused or cut.
func TestScrapesThatHang(t *testing.T) {
	t.Parallel()
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) { <-request.Context().Done() }))
	t.Cleanup(hanging.Close)
	cluster := newCluster(t, 0)
	cluster.address = hanging.Listener.Addr().String()
	cluster.has(1)
	prometheus := start(t, cluster, server.ScrapeConfigs(t, "prometheus.yaml"))
	prometheus.Await(t, `up{job="kube-state-metrics"}`, 0)
	scrapes := prometheus.Scrapes(t, time.Time{})
	timedOut := slices.Concat(scrapes.Failed, scrapes.Stalled)
	require.NotEmpty(t, timedOut)
	for _, scrape := range timedOut {
		assert.GreaterOrEqual(t, scrape.Took, interval)
	}

	require.NoError(t, hanging.Listener.Close())
	hanging.CloseClientConnections()
	refused := time.Now()
	prometheus.AwaitEvaluation(t, refused)
	scrapes = prometheus.Scrapes(t, refused)
	require.NotEmpty(t, scrapes.Failed)
	for _, scrape := range scrapes.Failed {
		assert.Less(t, scrape.Took, interval)
	}
	assert.Empty(t, scrapes.Stalled)
}
