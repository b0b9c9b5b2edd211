package integration

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
)

// Nodes are in zones a, b and c by turns.
const zones = 3

func zoneAware(least int32) func(*v1alpha1.KSMScale) {
	return func(k *v1alpha1.KSMScale) {
		k.Spec.Sharding.ReplicationStrategy, k.Spec.Sharding.MinReplicasPerShard = v1alpha1.ZoneAware, least
	}
}

// Each zone is lost in turn, with its nodes and their pods, and comes back.
func TestLosingAnyZoneUncoversNoShard(t *testing.T) {
	setNodes(t, 9)
	ksmScale := create(t, newKSMScale(zoneAware(2)))
	awaitReplicas(t, ksmScale, 2, 2, 2)
	for zone := range zones {
		t.Run(zoneName(zone), func(t *testing.T) {
			for id := range int32(3) {
				assert.Len(t, shardZones(t, ksmScale, id), 2, "shard %d", id)
			}
			survivors := podsOutside(t, ksmScale, zone)
			loseZone(t, zone)
			for _, pod := range survivors {
				require.NoError(t, get(t, &pod))
				assert.True(t, isReady(&pod), pod.Name)
			}
			_, err := shared.walker.Await(t.Context(), ksmScale, 6, []int32{2, 2, 2}, eventually)
			require.NoError(t, err, "all are replaced in the zones that are left")
			setNodes(t, 9)
			awaitReplicas(t, ksmScale, 2, 2, 2)
		})
	}
}

func TestZonesOfAllKinds(t *testing.T) {
	setNodes(t, 9)
	const pool = "pool"
	for number, name := range map[int]string{0: "uneven", 1: "uneven", 4: "uneven", 2: "uneven", 5: "uneven", 8: "uneven"} {
		relabel(t, number, map[string]any{pool: name})
	}
	for _, number := range []int{3, 6, 7} {
		relabel(t, number, map[string]any{pool: "unzoned", corev1.LabelTopologyZone: nil})
	}
	on := func(key, value string, least int32) *v1alpha1.KSMScale {
		return create(t, newKSMScale(zoneAware(least), func(k *v1alpha1.KSMScale) {
			k.Spec.Sharding.Enabled = false
			k.Spec.Template = &v1alpha1.PodTemplate{NodeSelector: map[string]v1alpha1.LabelValue{key: v1alpha1.LabelValue(value)}}
		}))
	}
	uneven, single, unzoned := on(pool, "uneven", 6), on(corev1.LabelTopologyZone, zoneName(1), 3), on(pool, "unzoned", 2)
	awaitReplicas(t, uneven, 6)
	awaitReplicas(t, single, 3)
	awaitReplicas(t, unzoned, 2)
	assert.Equal(t, map[string]int{zoneName(0): 2, zoneName(1): 2, zoneName(2): 2}, shardZones(t, uneven, 0),
		"two replicas share the only node of a zone, rather than none having it")
	awaitCondition(t, uneven, v1alpha1.ConditionSchedulable, metav1.ConditionTrue, v1alpha1.ReasonAllPodsScheduled)
	awaitCondition(t, unzoned, v1alpha1.ConditionSchedulable, metav1.ConditionTrue, v1alpha1.ReasonNoZones)
}

func zoneName(number int) string { return "zone-" + string("abc"[number]) }

func listNodes(t *testing.T) []corev1.Node {
	t.Helper()
	var nodes corev1.NodeList
	require.NoError(t, shared.client.List(t.Context(), &nodes))
	return nodes.Items
}

func podsOf(t *testing.T, ksmScale *v1alpha1.KSMScale) []corev1.Pod {
	t.Helper()
	var pods corev1.PodList
	require.NoError(t, shared.client.List(t.Context(), &pods,
		client.InNamespace(ksmScale.Spec.Namespace), client.MatchingLabels{v1alpha1.LabelKSMScale: ksmScale.Name}))
	return slices.DeleteFunc(pods.Items, func(pod corev1.Pod) bool { return pod.DeletionTimestamp != nil })
}

// zoneOf has the zone of every node that has one.
func zoneOf(t *testing.T) map[string]string {
	t.Helper()
	zones := map[string]string{}
	for _, node := range listNodes(t) {
		if zone, ok := node.Labels[corev1.LabelTopologyZone]; ok {
			zones[node.Name] = zone
		}
	}
	return zones
}

// shardZones has how many pods of a shard are in each zone.
func shardZones(t *testing.T, ksmScale *v1alpha1.KSMScale, id int32) map[string]int {
	t.Helper()
	zones, counts := zoneOf(t), map[string]int{}
	for _, pod := range podsOf(t, ksmScale) {
		if pod.Labels[v1alpha1.LabelShardID] == fmt.Sprint(id) {
			counts[zones[pod.Spec.NodeName]]++
		}
	}
	return counts
}

// podsOutside are the pods that do not run in a zone: of each shard at least one.
func podsOutside(t *testing.T, ksmScale *v1alpha1.KSMScale, zone int) []corev1.Pod {
	t.Helper()
	zones, shards := zoneOf(t), map[string]bool{}
	pods := slices.DeleteFunc(podsOf(t, ksmScale), func(pod corev1.Pod) bool { return zones[pod.Spec.NodeName] == zoneName(zone) })
	for _, pod := range pods {
		shards[pod.Labels[v1alpha1.LabelShardID]] = true
	}
	assert.Len(t, shards, 3)
	return pods
}

// loseZone deletes the nodes of a zone, and then the pods on them as the garbage collector of pods would.
func loseZone(t *testing.T, zone int) {
	t.Helper()
	lost := map[string]bool{}
	for _, node := range listNodes(t) {
		if node.Labels[corev1.LabelTopologyZone] == zoneName(zone) {
			require.NoError(t, shared.client.Delete(t.Context(), &node))
			lost[node.Name] = true
		}
	}
	var pods corev1.PodList
	require.NoError(t, shared.client.List(t.Context(), &pods))
	for _, pod := range pods.Items {
		if lost[pod.Spec.NodeName] {
			require.NoError(t, client.IgnoreNotFound(shared.client.Delete(t.Context(), &pod, client.GracePeriodSeconds(0))))
		}
	}
}

func isReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(condition corev1.PodCondition) bool {
		return condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue
	})
}

// relabel changes labels of a node, or removes those that are nil, until the test ends.
func relabel(t *testing.T, number int, labels map[string]any) {
	t.Helper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("fake-node-%05d", number)}}
	require.NoError(t, get(t, node))
	before := map[string]any{}
	for key := range labels {
		before[key] = nil
		if value, ok := node.Labels[key]; ok {
			before[key] = value
		}
	}
	patch := func(labels map[string]any) client.Patch {
		data, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": labels}})
		require.NoError(t, err)
		return client.RawPatch("application/merge-patch+json", data)
	}
	require.NoError(t, shared.client.Patch(t.Context(), node, patch(labels)))
	t.Cleanup(func() {
		require.NoError(t, client.IgnoreNotFound(shared.client.Patch(afterwards(t), node, patch(before))))
	})
}
