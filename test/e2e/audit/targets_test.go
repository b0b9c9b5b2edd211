package audit

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func TestTargets(t *testing.T) {
	metadata := func(namespace, name, total string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": "shards", "total-shards": total}}
	}
	ready := corev1.PodStatus{PodIP: "10.0.0.1", Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
	client := fake.NewClientset(
		&corev1.Service{ObjectMeta: metadata("new", "shard", "3"), Spec: corev1.ServiceSpec{ClusterIP: "10.1.0.1"}},
		&corev1.Service{ObjectMeta: metadata("new", "headless", "3"), Spec: corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone}},
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "new", Name: "another"}, Spec: corev1.ServiceSpec{ClusterIP: "10.1.0.2"}},
		&corev1.Service{ObjectMeta: metadata("elsewhere", "shard", "3"), Spec: corev1.ServiceSpec{ClusterIP: "10.1.0.3"}},
		&corev1.Pod{ObjectMeta: metadata("old", "ready", "3"), Status: ready},
		&corev1.Pod{ObjectMeta: metadata("old", "unready", "3"), Status: corev1.PodStatus{PodIP: "10.0.0.2"}},
	)
	old := Options{Namespace: "old", Selector: "app=shards", PartitionLabel: "total-shards", Pods: true}
	successor := Options{Namespace: "new", Selector: "app=shards", PartitionLabel: "total-shards"}
	with := old
	with.Also = &successor
	for _, test := range []struct {
		name    string
		options Options
		want    map[string]string
	}{
		{"pods", old, map[string]string{"10.0.0.1:8080": "3"}},
		{"services", successor, map[string]string{"10.1.0.1:8080": "3"}},
		{"both, in partitions of their own", with, map[string]string{"10.0.0.1:8080": "3", "10.1.0.1:8080": "also 3"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			targets, err := Watch(t.Context(), client, test.options)
			require.NoError(t, err)
			actual, err := targets.List()
			require.NoError(t, err)
			assert.Equal(t, test.want, actual)
		})
	}
}
