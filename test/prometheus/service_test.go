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
	r := &replica{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, metricsOf(shard))
		r.scrapes.Add(1)
	}))
	t.Cleanup(r.Close)
	return r
}

// service leads each connection to one of the replicas, like a Service. An open connection stays with its replica, whether
// that is ready or not.
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
	s := &service{listener: listener}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go s.lead(connection)
		}
	}()
	return s
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
	s.ready = slices.DeleteFunc(s.ready, func(one *replica) bool { return one == gone })
}

// serving is the replica that Prometheus is connected to.
func (s *service) serving(t *testing.T) *replica {
	t.Helper()
	s.mu.Lock()
	ready := slices.Clone(s.ready)
	s.mu.Unlock()
	before := make([]int64, len(ready))
	for i, one := range ready {
		before[i] = one.scrapes.Load()
	}
	var chosen *replica
	require.Eventually(t, func() bool {
		for i, one := range ready {
			if one.scrapes.Load() > before[i] {
				chosen = one
			}
		}
		return chosen != nil
	}, eventually, poll)
	return chosen
}

// No series is missing or duplicated while replicas start, are replaced, and die between two scrapes.
func TestReplicas(t *testing.T) {
	t.Parallel()
	shard := v1alpha1.Shard{KSMScale: "main", ID: 0, Total: 1}
	balanced := newService(t)
	balanced.add(newReplica(t, shard))
	shards := newCluster(t, 0)
	shards.address = balanced.listener.Addr().String()
	shards.has(1)
	prometheus := start(t, shards, server.ScrapeConfigs(t, "prometheus.yaml"))
	prometheus.Await(t, "test:pods", objects)
	complete := time.Now()

	// Scaled up, and then without the replica of the connection.
	balanced.add(newReplica(t, shard), newReplica(t, shard))
	dies := balanced.serving(t)
	balanced.remove(dies)
	dies.Close()
	assert.NotSame(t, dies, balanced.serving(t))

	// Replaced one by one. A leaving replica receives no new connection, serves for a while, and then ends.
	for range 2 {
		leaves := balanced.serving(t)
		balanced.add(newReplica(t, shard))
		balanced.remove(leaves)
		served := leaves.scrapes.Load()
		require.Eventually(t, func() bool { return leaves.scrapes.Load() > served }, eventually, poll)
		leaves.Close()
	}
	balanced.serving(t)
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
	shards := newCluster(t, 0)
	shards.address = hanging.Listener.Addr().String()
	shards.has(1)
	prometheus := start(t, shards, server.ScrapeConfigs(t, "prometheus.yaml"))
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
	if prometheus.Machine.Stalled(refused, time.Now()) == 0 {
		assert.Empty(t, scrapes.Stalled)
	}
}
