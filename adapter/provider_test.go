package adapter_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/metrics/pkg/apis/external_metrics"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/custom-metrics-apiserver/pkg/provider"

	"github.com/example/ksmscale/adapter"
	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/nodes"
	"github.com/example/ksmscale/plans"
	"github.com/example/ksmscale/scaling"
)

var asOf = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// stub has the plans of two KSMScales in namespace a and of one in b.
type stub struct{ err error }

func (s stub) All(context.Context) ([]plans.Planned, error) {
	return []plans.Planned{planned("one", "a", 60), planned("two", "a", 90), planned("one-b", "b", 45)}, s.err
}

func (s stub) Named(ctx context.Context, name string) (plans.Planned, bool, error) {
	all, err := s.All(ctx)
	for _, one := range all {
		if one.KSMScale.Name == name {
			return one, true, err
		}
	}
	return plans.Planned{}, false, err
}

func planned(name, namespace string, nodes int) plans.Planned {
	ksmScale := &v1alpha1.KSMScale{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.KSMScaleSpec{
			NodesPerMonitor: 15, Namespace: namespace,
			Sharding: &v1alpha1.ShardingConfig{Enabled: true, ShardCount: 3, MinReplicasPerShard: 1},
		},
	}
	if name == "one" {
		ksmScale.Status.Recommendation = &v1alpha1.Recommendation{Shards: 4, Series: 600_000}
	}
	cluster := scaling.Cluster{Nodes: nodes}
	return plans.Planned{KSMScale: ksmScale, Cluster: cluster, AsOf: asOf, Plan: scaling.New(ksmScale, cluster)}
}

func ask(t testing.TB, p *adapter.Provider, namespace, metric, selector string) (*external_metrics.ExternalMetricValueList, error) {
	t.Helper()
	parsed, err := labels.Parse(selector)
	require.NoError(t, err)
	return p.GetExternalMetric(t.Context(), namespace, parsed, provider.ExternalMetricInfo{Metric: metric})
}

func TestGetExternalMetric(t *testing.T) {
	for _, test := range []struct {
		name, namespace, metric, selector string
		want                              []int64
		code                              int32
	}{
		{name: "one shard", namespace: "a", metric: v1alpha1.MetricDesiredReplicas, selector: "ksmscale=one,shard=0,total_shards=3", want: []int64{2}},
		{name: "all shards of one", namespace: "a", metric: v1alpha1.MetricDesiredReplicas, selector: "ksmscale=one", want: []int64{2, 1, 1}},
		{name: "everything in the namespace", namespace: "a", metric: v1alpha1.MetricDesiredReplicas, want: []int64{2, 1, 1, 2, 2, 2}},
		{name: "another namespace", namespace: "b", metric: v1alpha1.MetricDesiredReplicas, want: []int64{1, 1, 1}},
		{name: "set-based", namespace: "a", metric: v1alpha1.MetricDesiredReplicas, selector: "shard in (1,2),ksmscale!=two", want: []int64{1, 1}},
		{name: "nodes", namespace: "a", metric: v1alpha1.MetricNodes, selector: "ksmscale=two", want: []int64{90}},
		{name: "recommended shards", namespace: "a", metric: v1alpha1.MetricRecommendedShards, want: []int64{4}},
		{name: "series", namespace: "a", metric: v1alpha1.MetricSeries, want: []int64{600_000}},
		{name: "no recommendation", namespace: "b", metric: v1alpha1.MetricRecommendedShards, code: http.StatusNotFound},
		{name: "someone else's namespace", namespace: "b", metric: v1alpha1.MetricDesiredReplicas, selector: "ksmscale=one", code: http.StatusNotFound},
		{name: "a namespace without any", namespace: "c", metric: v1alpha1.MetricDesiredReplicas, code: http.StatusNotFound},
		{name: "a KSMScale that does not exist", namespace: "a", metric: v1alpha1.MetricDesiredReplicas, selector: "ksmscale=three", code: http.StatusNotFound},
		{name: "all but one", namespace: "a", metric: v1alpha1.MetricNodes, selector: "ksmscale!=one", want: []int64{90}},
		{name: "one of two", namespace: "a", metric: v1alpha1.MetricNodes, selector: "ksmscale in (one,two)", want: []int64{60, 90}},
		{name: "a contradiction", namespace: "a", metric: v1alpha1.MetricNodes, selector: "ksmscale=one,ksmscale=two", code: http.StatusNotFound},
		{name: "no namespace", namespace: "", metric: v1alpha1.MetricDesiredReplicas, code: http.StatusNotFound},
		{name: "another partition", namespace: "a", metric: v1alpha1.MetricDesiredReplicas, selector: "ksmscale=one,total_shards=5", code: http.StatusNotFound},
		{name: "an unknown metric", namespace: "a", metric: "other", code: http.StatusNotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			list, err := ask(t, adapter.NewProvider(stub{}), test.namespace, test.metric, test.selector)
			if test.code != 0 {
				var status apierrors.APIStatus
				require.ErrorAs(t, err, &status)
				assert.Equal(t, test.code, status.Status().Code)
				assert.Nil(t, list)
				return
			}
			require.NoError(t, err)
			var values []int64
			for _, item := range list.Items {
				values = append(values, item.Value.Value())
				assert.Equal(t, test.metric, item.MetricName)
				assert.Equal(t, asOf, item.Timestamp.Time, "the time of the picture, not of the request")
			}
			assert.Equal(t, test.want, values)
		})
	}
}

func TestNotSyncedIsUnavailable(t *testing.T) {
	other := errors.New("other")
	for _, selector := range []string{"", "ksmscale=one"} {
		_, err := ask(t, adapter.NewProvider(stub{err: plans.ErrNotSynced}), "a", v1alpha1.MetricDesiredReplicas, selector)
		assert.True(t, apierrors.IsServiceUnavailable(err), "%v", err)

		_, err = ask(t, adapter.NewProvider(stub{err: other}), "a", v1alpha1.MetricDesiredReplicas, selector)
		assert.ErrorIs(t, err, other)
	}
}

func TestDiscoveryListsAllMetrics(t *testing.T) {
	assert.Equal(t, []provider.ExternalMetricInfo{
		{Metric: v1alpha1.MetricDesiredReplicas}, {Metric: v1alpha1.MetricNodes}, {Metric: v1alpha1.MetricRecommendedShards}, {Metric: v1alpha1.MetricSeries},
	},
		adapter.NewProvider(stub{}).ListAllExternalMetrics())
}

// source counts nodes and plans three KSMScales, and some more. It reads them as from the cache of the adapter.
func source(t testing.TB, count, more int) (*plans.Source, *nodes.Listing) {
	t.Helper()
	counter := nodes.NewCounter(clocktesting.NewFakePassiveClock(asOf))
	var there []any
	for i := range count {
		there = append(there, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-" + strconv.Itoa(i)}})
	}
	listing := counter.Listing()
	require.NoError(t, listing.Replace(there, ""))
	all, _ := stub{}.All(t.Context())
	for i := range more {
		all = append(all, planned("more-"+strconv.Itoa(i), "a", 60))
	}
	indexer := toolscache.NewIndexer(toolscache.MetaNamespaceKeyFunc, toolscache.Indexers{})
	for i, one := range all {
		one.KSMScale.ResourceVersion = strconv.Itoa(i + 1)
		require.NoError(t, indexer.Add(one.KSMScale))
	}
	return plans.NewSource(reader{indexer: indexer}, counter, func() bool { return true }), listing
}

// reader reads KSMScales from an index without copies, as a cache does.
type reader struct {
	client.Reader
	indexer toolscache.Indexer
}

func (r reader) Get(_ context.Context, key client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	found, exists, err := r.indexer.GetByKey(key.Name)
	if err != nil || !exists {
		return errors.Join(err, apierrors.NewNotFound(schema.GroupResource{Resource: "ksmscales"}, key.Name))
	}
	*object.(*v1alpha1.KSMScale) = *found.(*v1alpha1.KSMScale)
	return nil
}

func (r reader) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	into, ok := list.(*v1alpha1.KSMScaleList)
	if !ok {
		return errors.New("only KSMScales")
	}
	for _, found := range r.indexer.List() {
		into.Items = append(into.Items, *found.(*v1alpha1.KSMScale))
	}
	return nil
}

func TestConcurrentRequestsWhileNodesComeAndGo(t *testing.T) {
	planSource, listing := source(t, 45, 0)
	p := adapter.NewProvider(planSource)
	var running sync.WaitGroup
	for worker := range 4 {
		running.Go(func() {
			node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "worker-" + strconv.Itoa(worker)}}
			for range 200 {
				assert.NoError(t, listing.Add(node))
				list, err := ask(t, p, "a", v1alpha1.MetricDesiredReplicas, "ksmscale=one")
				if assert.NoError(t, err) {
					assert.Len(t, list.Items, 3)
				}
				assert.NoError(t, listing.Delete(node))
			}
		})
	}
	running.Wait()
	list, err := ask(t, p, "a", v1alpha1.MetricNodes, "ksmscale=one")
	require.NoError(t, err)
	assert.EqualValues(t, 45, list.Items[0].Value.Value())
}

func BenchmarkGetExternalMetric(b *testing.B) {
	for _, size := range []struct{ nodes, ksmScales int }{{100, 3}, {1000, 3}, {5000, 3}, {15000, 3}, {5000, 200}} {
		b.Run(fmt.Sprintf("nodes=%d/ksmscales=%d", size.nodes, size.ksmScales), func(b *testing.B) {
			planSource, _ := source(b, size.nodes, size.ksmScales-3)
			p := adapter.NewProvider(planSource)
			selector, err := labels.Parse("ksmscale=one,shard=0,total_shards=3")
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.GetExternalMetric(b.Context(), "a", selector, provider.ExternalMetricInfo{Metric: v1alpha1.MetricDesiredReplicas}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
