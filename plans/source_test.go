package plans

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/nodes"
)

func newSource(t *testing.T, synced bool) *Source {
	t.Helper()
	scheme := runtime.NewScheme()
	require.NoError(t, v1alpha1.AddToScheme(scheme))
	ksmScale := &v1alpha1.KSMScale{
		ObjectMeta: metav1.ObjectMeta{Name: "main"},
		Spec: v1alpha1.KSMScaleSpec{
			NodesPerMonitor: 1,
			Sharding:        &v1alpha1.ShardingConfig{Enabled: true, ShardCount: 2, MinReplicasPerShard: 1},
		},
	}
	counter := nodes.NewCounter(clocktesting.NewFakePassiveClock(time.Unix(1_700_000_000, 0)))
	var all []any
	for _, name := range []string{"a", "b", "c"} {
		all = append(all, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	require.NoError(t, counter.Listing().Replace(all, ""))
	return NewSource(fake.NewClientBuilder().WithScheme(scheme).WithObjects(ksmScale).Build(), counter, func() bool { return synced })
}

func TestSourcePlansWhatItReads(t *testing.T) {
	source := newSource(t, true)
	all, err := source.All(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 1)
	assert.Equal(t, "main", all[0].KSMScale.Name)
	assert.EqualValues(t, 3, all[0].Desired)

	one, err := source.One(all[0].KSMScale)
	require.NoError(t, err)
	assert.Equal(t, all[0], one)
}

func TestSourceHasNoPlansUntilSynced(t *testing.T) {
	source := newSource(t, false)
	_, err := source.All(t.Context())
	assert.ErrorIs(t, err, ErrNotSynced)
	_, err = source.One(&v1alpha1.KSMScale{})
	assert.ErrorIs(t, err, ErrNotSynced)
}

func TestNodesAreNoLongerCountedAsNoKSMScaleWants(t *testing.T) {
	source := newSource(t, true)
	listing := source.nodes.Listing()
	require.NoError(t, listing.Replace([]any{&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}}}, ""))
	var changes int
	source.nodes.OnChange(func() { changes++ })
	cordoned := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: corev1.NodeSpec{Unschedulable: true}}
	notReady := cordoned.DeepCopy()
	notReady.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionFalse}}
	ready := cordoned.DeepCopy()
	ready.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	require.NoError(t, listing.Update(cordoned))
	changes = 0

	gone := &v1alpha1.KSMScale{Spec: v1alpha1.KSMScaleSpec{Nodes: v1alpha1.NodesConfig{ReadyOnly: true}}}
	_, err := source.One(gone)
	require.NoError(t, err)
	require.NoError(t, listing.Update(ready))
	assert.Equal(t, 1, changes)
	source.forgetting(t.Context()).OnDelete(gone)
	require.NoError(t, listing.Update(notReady))
	assert.Equal(t, 1, changes)
}

func TestPlansAreKeptUntilTheirInputChanges(t *testing.T) {
	source := newSource(t, true)
	first, err := source.All(t.Context())
	require.NoError(t, err)
	again, err := source.All(t.Context())
	require.NoError(t, err)
	assert.Same(t, &first[0].Shards[0], &again[0].Shards[0])

	listing := source.nodes.Listing()
	require.NoError(t, listing.Replace([]any{&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}}}, ""))
	fewer, err := source.All(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 1, fewer[0].Cluster.Nodes)

	ksmScale := fewer[0].KSMScale.DeepCopy()
	ksmScale.Spec.Sharding.MinReplicasPerShard = 4
	require.NoError(t, source.ksmScales.(client.Client).Update(t.Context(), ksmScale))
	changed, err := source.All(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 8, changed[0].Desired)
}

func TestLastPlanIsKeptWhileNodesAreListedAgain(t *testing.T) {
	source := newSource(t, true)
	objects, ok := source.ksmScales.(client.Client)
	require.True(t, ok)
	before, err := source.All(t.Context())
	require.NoError(t, err)

	changed := before[0].KSMScale.DeepCopy()
	changed.Spec.Nodes.Selector = &v1alpha1.NodeSelector{MatchLabels: map[string]v1alpha1.LabelValue{"pool": "big"}}
	require.NoError(t, objects.Update(t.Context(), changed))
	created := changed.DeepCopy()
	created.ObjectMeta = metav1.ObjectMeta{Name: "new", UID: "another"}
	require.NoError(t, objects.Create(t.Context(), created))

	meanwhile, err := source.All(t.Context())
	require.NoError(t, err)
	assert.Equal(t, before, meanwhile, "no plan from a count without the label")
	_, err = source.One(changed)
	assert.ErrorIs(t, err, ErrNotSynced)
	kept, exists, err := source.Named(t.Context(), "main")
	require.NoError(t, err)
	assert.True(t, exists)
	assert.Equal(t, before[0], kept)
	_, _, err = source.Named(t.Context(), "new")
	assert.ErrorIs(t, err, ErrNotSynced, "one that has no plan yet exists")
	_, exists, err = source.Named(t.Context(), "missing")
	require.NoError(t, err)
	assert.False(t, exists)

	big := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a", Labels: map[string]string{"pool": "big"}}}
	require.NoError(t, source.nodes.Listing().Replace([]any{big, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "b"}}}, ""))
	after, err := source.All(t.Context())
	require.NoError(t, err)
	require.Len(t, after, 2)
	for _, planned := range after {
		assert.Equal(t, 1, planned.Cluster.Nodes)
	}
	_, err = source.One(changed)
	assert.NoError(t, err)
}

func TestCollector(t *testing.T) {
	assert.NoError(t, testutil.CollectAndCompare(Collector{Source: newSource(t, true)}, strings.NewReader(`
# HELP ksmscale_configured_shards Number of shards that a KSMScale is configured to have.
# TYPE ksmscale_configured_shards gauge
ksmscale_configured_shards{ksmscale="main"} 2
# HELP ksmscale_desired_replicas Number of desired replicas of a shard.
# TYPE ksmscale_desired_replicas gauge
ksmscale_desired_replicas{ksmscale="main",shard="0",total_shards="2"} 2
ksmscale_desired_replicas{ksmscale="main",shard="1",total_shards="2"} 1
# HELP ksmscale_last_node_event_timestamp_seconds Unix time of the last event about any node, heartbeats included; 0 before the first.
# TYPE ksmscale_last_node_event_timestamp_seconds gauge
ksmscale_last_node_event_timestamp_seconds 1.7e+09
# HELP ksmscale_nodes Number of nodes counted for a KSMScale.
# TYPE ksmscale_nodes gauge
ksmscale_nodes{ksmscale="main"} 3
`)))
	assert.Equal(t, 1, testutil.CollectAndCount(Collector{Source: newSource(t, false)}),
		"wrong plans are worse than none")
}
