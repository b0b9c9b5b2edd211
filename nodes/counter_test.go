package nodes_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/example/ksmscale/nodes"
)

var testTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func node(name string, overrides ...func(*corev1.Node)) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "uid-1", ResourceVersion: "1"}}
	for _, override := range overrides {
		override(n)
	}
	return n
}

func virtualKubelet(n *corev1.Node) { n.Labels = map[string]string{"type": "virtual-kubelet"} }
func cordoned(n *corev1.Node)       { n.Spec.Unschedulable = true }

func TestCounter(t *testing.T) {
	for _, test := range []struct {
		name   string
		events func(*nodes.Counter)
		want   int
		// changes is how often a change is notified.
		changes int
	}{
		{name: "no nodes", events: func(*nodes.Counter) {}},
		{name: "nodes come", want: 2, changes: 2, events: func(c *nodes.Counter) {
			c.OnAdd(node("a"), true)
			c.OnAdd(node("b"), false)
		}},
		{name: "a node goes", want: 1, changes: 3, events: func(c *nodes.Counter) {
			c.OnAdd(node("a"), true)
			c.OnAdd(node("b"), true)
			c.OnDelete(node("a"))
		}},
		{name: "a node went while the watch was interrupted", want: 0, changes: 2, events: func(c *nodes.Counter) {
			c.OnAdd(node("a"), true)
			c.OnDelete(toolscache.DeletedFinalStateUnknown{Key: "a", Obj: node("a")})
		}},
		{name: "a heartbeat changes nothing", want: 1, changes: 1, events: func(c *nodes.Counter) {
			c.OnAdd(node("a"), true)
			c.OnUpdate(node("a"), node("a"))
		}},
		{name: "a cordoned node goes on counting", want: 1, changes: 1, events: func(c *nodes.Counter) {
			c.OnAdd(node("a"), true)
			c.OnUpdate(node("a"), node("a", cordoned))
		}},
		{name: "a virtual kubelet does not count", want: 1, changes: 1, events: func(c *nodes.Counter) {
			c.OnAdd(node("a"), true)
			c.OnAdd(node("virtual", virtualKubelet), true)
			c.OnDelete(node("virtual", virtualKubelet))
		}},
		{name: "a node becomes a virtual kubelet", want: 0, changes: 2, events: func(c *nodes.Counter) {
			c.OnAdd(node("a"), true)
			c.OnUpdate(node("a"), node("a", virtualKubelet))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			counter := nodes.NewCounter(clocktesting.NewFakePassiveClock(testTime))
			var changes int
			counter.OnChange(func() { changes++; counter.Cluster() })
			test.events(counter)
			cluster, _ := counter.Cluster()
			assert.Equal(t, test.want, cluster.Nodes)
			assert.Equal(t, test.changes, changes)
		})
	}
}

func TestPictureIsAsOldAsTheLastEvent(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(testTime)
	counter := nodes.NewCounter(clock)
	counter.OnAdd(node("a"), true)

	clock.SetTime(testTime.Add(time.Minute))
	_, asOf := counter.Cluster()
	assert.Equal(t, testTime, asOf, "asking does not make the picture any younger")

	counter.OnUpdate(node("a"), node("a"))
	_, asOf = counter.Cluster()
	assert.Equal(t, testTime.Add(time.Minute), asOf, "a heartbeat shows that the watch is alive")
}

func TestNotSyncedBeforeWatch(t *testing.T) {
	assert.False(t, nodes.NewCounter(clocktesting.NewFakePassiveClock(testTime)).Synced())
}

func TestCacheHoldsOnlyWhatIsCounted(t *testing.T) {
	full := node("a", virtualKubelet, cordoned, func(n *corev1.Node) {
		n.Annotations = map[string]string{"large": "annotation"}
		n.Status.Images = []corev1.ContainerImage{{Names: []string{"image"}}}
	})
	held, err := nodes.ForCache().Transform(full)
	require.NoError(t, err)
	assert.Equal(t, node("a", virtualKubelet), held)
}
