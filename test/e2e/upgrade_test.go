package e2e

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/cluster/image"
	"github.com/example/ksmscale/test/rollouts"
)

// upgrade has the controller be of another version, which brings another image of the gate, and waits until all shards have it. At no
// time do two of them replace their pods.
func upgrade(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	current, err := image.Released(shared.root)
	require.NoError(t, err)
	next := image.Next(current.Gate)
	watched, err := rollouts.New(t.Context(), shared.clientset, next)
	require.NoError(t, err)
	setImages(t, image.Next(current.KSMScale), next)
	t.Cleanup(func() { setImages(t, current.KSMScale.Pinned(), current.Gate.Pinned()) })
	count := int(ksmScale.Spec.Sharding.ShardCount)
	await(t, "all shards to have the gate of the next version", func(context.Context) error {
		if done := watched.Done(); done < count {
			return fmt.Errorf("%d of %d have it", done, count)
		}
		return nil
	})
	awaitReady(t, ksmScale)
	most, _ := watched.Most(ksmScale.Name)
	assert.Equal(t, 1, most, "shards that replace their pods at the same time")
	for _, pod := range shardPods(t, ksmScale) {
		if pod.DeletionTimestamp == nil {
			assert.Equal(t, next, pod.Spec.Containers[1].Image, pod.Name)
		}
	}
}

// setImages waits until the controller runs from an image, and has another one for the gates.
func setImages(t *testing.T, ours, gate string) {
	t.Helper()
	const controller = "deployment/ksmscale-controller"
	kubectl(t, "-n", systemNamespace, "set", "image", controller, "controller="+ours, "gate="+gate)
	kubectl(t, "-n", systemNamespace, "rollout", "status", controller)
}
