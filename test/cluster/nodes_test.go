package cluster

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func TestChanges(t *testing.T) {
	registered := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-7"}}
	impostor := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: nodeName(9)}} // no annotation
	tests := []struct {
		name    string
		nodes   []corev1.Node
		n       int
		missing []int
		surplus []string
	}{
		{name: "none wanted, none there"},
		{name: "grow from nothing", n: 3, missing: []int{0, 1, 2}},
		{name: "fill gaps", nodes: fakeNodes(1, 3), n: 4, missing: []int{0, 2}},
		{name: "enough", nodes: fakeNodes(0, 1), n: 2},
		{name: "highest go", nodes: fakeNodes(0, 1, 2, 3), n: 2, surplus: []string{nodeName(2), nodeName(3)}},
		{name: "shrink and fill", nodes: fakeNodes(0, 5), n: 2, missing: []int{1}, surplus: []string{nodeName(5)}},
		{name: "others are left alone", nodes: []corev1.Node{registered, impostor}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			missing, surplus := changes(test.nodes, test.n)
			assert.Equal(t, test.missing, missing)
			assert.Equal(t, test.surplus, surplus)
		})
	}
}

func TestFakeNode(t *testing.T) {
	node := (&Cluster{options: Options{NodeLabels: map[string]string{"team": "a"}}}).fakeNode(3001)
	number, fake := nodeNumber(node)
	assert.Equal(t, "fake-node-03001", node.Name)
	assert.True(t, fake)
	assert.Equal(t, 3001, number)
	assert.Equal(t, "zone-b", node.Labels[corev1.LabelTopologyZone])
	assert.Equal(t, node.Name, node.Labels[corev1.LabelHostname])
	assert.Empty(t, node.Spec.Taints)
	assert.Equal(t, node.Status.Capacity, node.Status.Allocatable)
	tainted := (&Cluster{options: Options{RealNodes: 1}}).fakeNode(1)
	assert.Equal(t, []corev1.Taint{{Key: "kwok.x-k8s.io/node", Value: "fake", Effect: corev1.TaintEffectNoSchedule}},
		tainted.Spec.Taints, "keeps real pods off it")
	assert.Empty(t, (&Cluster{}).fakeTaints())
}

func fakeNodes(numbers ...int) []corev1.Node {
	var nodes []corev1.Node
	for _, number := range numbers {
		nodes = append(nodes, *(&Cluster{}).fakeNode(number))
	}
	return nodes
}

// A new node must not start with the lease of an earlier node of the same name.
func TestLeasesOfNodesFromBeforeAreRemoved(t *testing.T) {
	lease := func(name string) *coordinationv1.Lease {
		return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: corev1.NamespaceNodeLease, Name: name}}
	}
	client := fake.NewClientset(lease(nodeName(0)), lease(nodeName(2)), lease("real"))
	require.NoError(t, removeLeases(t.Context(), client.CoordinationV1(), []int{1, 2}))
	left, err := client.CoordinationV1().Leases(corev1.NamespaceNodeLease).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	var names []string
	for _, lease := range left.Items {
		names = append(names, lease.Name)
	}
	assert.ElementsMatch(t, []string{nodeName(0), "real"}, names)
}
