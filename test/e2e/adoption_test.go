package e2e

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
)

// orphanAndAdopt deletes the KSMScale, keeps its objects, and creates it again, which restarts no pod.
func orphanAndAdopt(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	before := containers(t, ksmScale)
	kubectl(t, "delete", "ksmscale", ksmScale.Name, "--cascade=orphan")
	*ksmScale = v1alpha1.KSMScale{ObjectMeta: metav1.ObjectMeta{Name: ksmScale.Name}, Spec: ksmScale.Spec}
	require.NoError(t, shared.client.Create(t.Context(), ksmScale))
	awaitReady(t, ksmScale)
	assert.Equal(t, before, containers(t, ksmScale))
	var list appsv1.DeploymentList
	require.NoError(t, shared.client.List(t.Context(), &list, client.InNamespace(monitoringNamespace), client.MatchingLabels{v1alpha1.LabelKSMScale: ksmScale.Name}))
	assert.Len(t, list.Items, int(ksmScale.TotalShards()))
	for _, deployment := range list.Items {
		assert.True(t, metav1.IsControlledBy(&deployment, ksmScale), deployment.Name)
	}
}

// container identifies one start of a container.
type container struct {
	pod  types.UID
	id   string
	name string
}

// containers are the running containers of the pods of shards.
func containers(t *testing.T, ksmScale *v1alpha1.KSMScale) []container {
	t.Helper()
	var running []container
	for _, pod := range shardPods(t, ksmScale) {
		for _, current := range pod.Status.ContainerStatuses {
			running = append(running, container{pod: pod.UID, id: current.ContainerID, name: current.Name})
		}
	}
	slices.SortFunc(running, func(a, b container) int {
		return slices.Compare([]string{string(a.pod), a.name}, []string{string(b.pod), b.name})
	})
	return running
}
