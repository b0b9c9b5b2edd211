package nodes_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
	lists := make(chan struct{}, 10)
	of := client.CoreV1().Nodes()
	lister := toolscache.ToListWatcherWithWatchListSemantics(&toolscache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			lists <- struct{}{}
			return of.List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return of.Watch(ctx, options)
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
		}, 10*time.Second, 10*time.Millisecond)
	}
	counts(spec(), 2)
	big := spec(selecting(v1alpha1.NodeSelector{MatchLabels: map[string]v1alpha1.LabelValue{"pool": "big"}}))
	counts(big, 1)
	assert.Len(t, lists, 2)

	_, err := of.Create(ctx, node("c", labelled("pool", "big")), metav1.CreateOptions{})
	require.NoError(t, err)
	counts(big, 2)
	counts(spec(), 3)
	assert.Len(t, lists, 2)

	cancel()
	<-ended
}

func TestListerWatcher(t *testing.T) {
	_, err := nodes.ListerWatcher(&rest.Config{Host: "https://127.0.0.1:1"}, http.DefaultClient)
	assert.NoError(t, err)
	_, err = nodes.ListerWatcher(&rest.Config{Host: "://"}, http.DefaultClient)
	assert.ErrorContains(t, err, "create a client of nodes")
}
