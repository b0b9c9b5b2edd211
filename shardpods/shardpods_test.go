package shardpods

import (
	"testing"

	"github.com/stretchr/testify/assert"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

func shard(id int32) v1alpha1.Shard { return v1alpha1.Shard{KSMScale: "main", ID: id, Total: 3} }

func TestOf(t *testing.T) {
	var deployments []appsv1.Deployment
	for id := range int32(2) {
		deployments = append(deployments, appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "monitoring", Name: shard(id).Name(), Labels: shard(id).Selector()}})
	}
	for _, test := range []struct {
		name     string
		override func(*corev1.Pod)
		want     bool
	}{
		{"of our Deployment", func(*corev1.Pod) {}, true},
		{"of nobody", func(p *corev1.Pod) { p.OwnerReferences = nil }, false},
		{"owned, and not controlled", func(p *corev1.Pod) { p.OwnerReferences[0].Controller = nil }, false},
		{"of another kind", func(p *corev1.Pod) { p.OwnerReferences[0].Kind = "StatefulSet" }, false},
		{"of a kind of another group", func(p *corev1.Pod) { p.OwnerReferences[0].APIVersion = "example.com/v1" }, false},
		{"of another ReplicaSet", func(p *corev1.Pod) { p.OwnerReferences[0].Name = "other-5d8f7c9b6d" }, false},
		{"of a ReplicaSet with another template", func(p *corev1.Pod) { p.Labels["pod-template-hash"] = "other" }, false},
		{"without a template", func(p *corev1.Pod) { delete(p.Labels, "pod-template-hash") }, false},
		{"of a Deployment that does not exist", func(p *corev1.Pod) { p.OwnerReferences[0].Name = shard(2).Name() + "-5d8f7c9b6d" }, false},
		{"with the labels of another shard", func(p *corev1.Pod) { p.Labels[v1alpha1.LabelShardID] = "1" }, false},
		{"with the labels of another partition", func(p *corev1.Pod) { p.Labels[v1alpha1.LabelTotalShards] = "5" }, false},
		{"in another namespace", func(p *corev1.Pod) { p.Namespace = "other" }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{
				Namespace: "monitoring", Name: "a", Labels: shard(0).Selector(),
				OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: shard(0).Name() + "-5d8f7c9b6d", Controller: new(true)}},
			}}
			pod.Labels["pod-template-hash"] = "5d8f7c9b6d"
			test.override(&pod)
			assert.Equal(t, test.want, len(Of(deployments, []corev1.Pod{pod})) == 1)
		})
	}
}
