package nodes_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/nodes"
)

func TestRunListsAgainForANewLabel(t *testing.T) {
	client := fake.NewClientset(node("a", labelled("pool", "big")), node("b"))
	lists, watches := make(chan struct{}, 10), make(chan struct{}, 10)
	of := client.CoreV1().Nodes()
	lister := toolscache.ToListWatcherWithWatchListSemantics(&toolscache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			lists <- struct{}{}
			return of.List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			watching, err := of.Watch(ctx, options)
			watches <- struct{}{}
			return watching, err
		},
	}, client)
	counter := nodes.NewCounter(clocktesting.NewFakePassiveClock(testTime))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		counter.Run(ctx, lister)
	}()
	counts := func(s *v1alpha1.KSMScaleSpec, want int) {
		t.Helper()
		require.Eventually(t, func() bool {
			cluster, _, ok := counter.Cluster(s)
			return ok && cluster.Nodes == want
		}, time.Minute, 10*time.Millisecond)
	}
	counts(spec(), 2)
	big := spec(selecting(v1alpha1.NodeSelector{MatchLabels: map[string]v1alpha1.LabelValue{"pool": "big"}}))
	counts(big, 1)
	assert.Len(t, lists, 2)

	// The client does not have a later watch know of what was created before it.
	<-watches
	<-watches
	_, err := of.Create(ctx, node("c", labelled("pool", "big")), metav1.CreateOptions{})
	require.NoError(t, err)
	counts(big, 2)
	counts(spec(), 3)
	assert.Len(t, lists, 2)

	cancel()
	<-ended
}

// nodeServer streams its nodes to each watch that requests initial events, like the API server, and then the later events.
type nodeServer struct {
	nodes  []*corev1.Node
	later  chan *corev1.Node
	starts atomic.Int32
}

func (s *nodeServer) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	query := request.URL.Query()
	if request.URL.Path != "/api/v1/nodes" || query.Get("watch") == "" || query.Get("sendInitialEvents") != "true" {
		http.Error(w, "only initial events are served: "+request.URL.String(), http.StatusInternalServerError)
		return
	}
	s.starts.Add(1)
	w.Header().Set("Content-Type", "application/json")
	send := func(kind watch.EventType, node *corev1.Node) {
		node.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Node"}
		encoded, err := json.Marshal(node)
		must(err)
		must(json.NewEncoder(w).Encode(metav1.WatchEvent{Type: string(kind), Object: runtime.RawExtension{Raw: encoded}}))
		must(http.NewResponseController(w).Flush())
	}
	for _, node := range s.nodes {
		send(watch.Added, node.DeepCopy())
	}
	send(watch.Bookmark, &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		ResourceVersion: "10", Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"},
	}})
	for {
		select {
		case <-request.Context().Done():
			return
		case node := <-s.later:
			send(watch.Modified, node)
		}
	}
}

// Nodes are reduced as they are streamed, and a changed node is counted with the labels of the current list.
func TestRunStreamsNodes(t *testing.T) {
	served := &nodeServer{
		nodes: []*corev1.Node{node("a", labelled("pool", "big")), node("b", labelled("pool", "small")), node("c", cordoned)},
		later: make(chan *corev1.Node),
	}
	server := httptest.NewServer(served)
	t.Cleanup(server.Close)
	lister, err := nodes.ListerWatcher(&rest.Config{Host: server.URL, QPS: -1}, http.DefaultClient)
	require.NoError(t, err)
	counter := nodes.NewCounter(clocktesting.NewFakePassiveClock(testTime))
	big := spec(selecting(v1alpha1.NodeSelector{MatchLabels: map[string]v1alpha1.LabelValue{"pool": "big"}}))
	counter.Cluster(big)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		counter.Run(ctx, lister)
	}()
	counts := func(want int) {
		t.Helper()
		require.Eventually(t, func() bool {
			cluster, _, ok := counter.Cluster(big)
			return ok && cluster.Nodes == want && cluster.Registered == 3 && cluster.Schedulable == 2
		}, time.Minute, 10*time.Millisecond)
	}
	counts(1)
	assert.EqualValues(t, 1, served.starts.Load(), "the first list has the label, because the spec was known before")
	served.later <- node("b", labelled("pool", "big"), func(n *corev1.Node) { n.ResourceVersion = "11" })
	counts(2)
	cancel()
	<-ended
}

func TestListerWatcher(t *testing.T) {
	_, err := nodes.ListerWatcher(&rest.Config{Host: "https://127.0.0.1:1"}, http.DefaultClient)
	assert.NoError(t, err)
	_, err = nodes.ListerWatcher(&rest.Config{Host: "://"}, http.DefaultClient)
	assert.ErrorContains(t, err, "create a client of nodes")
}
