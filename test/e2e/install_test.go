package e2e

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/cluster/image"
	"github.com/example/ksmscale/test/installation"
)

const (
	systemNamespace     = installation.Namespace
	monitoringNamespace = "monitoring"
)

// install installs KSMScale like a user, with the manifest of a release, which names images by their digests. It waits
// until KSMScale serves external metrics. Another call changes no object.
func install(t *testing.T) {
	t.Helper()
	kubectl(t, "apply", "--server-side", "-f", filepath.Join(shared.root, image.InstallManifest))
	for _, namespace := range []string{systemNamespace, monitoringNamespace} {
		kubectl(t, "label", "--overwrite", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
	}
	require.NoError(t, installation.AwaitPods(t.Context(), shared.clientset))
}

// awaitReady waits until the KSMScale is Ready in its current generation.
func awaitReady(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	await(t, "KSMScale "+ksmScale.Name, func(ctx context.Context) error {
		if err := shared.client.Get(ctx, client.ObjectKeyFromObject(ksmScale), ksmScale); err != nil {
			return err
		}
		ready := meta.FindStatusCondition(ksmScale.Status.Conditions, v1alpha1.ConditionReady)
		switch {
		case ready == nil || ready.ObservedGeneration < ksmScale.Generation:
			return errors.New("it is not looked at yet")
		case ready.Status != metav1.ConditionTrue:
			return fmt.Errorf("%s: %s", ready.Reason, ready.Message)
		}
		return nil
	})
}

// awaitCondition waits until a condition has a reason.
func awaitCondition(t *testing.T, ksmScale *v1alpha1.KSMScale, conditionType, reason string) {
	t.Helper()
	await(t, fmt.Sprintf("condition %s: %s", conditionType, reason), func(ctx context.Context) error {
		if err := shared.client.Get(ctx, client.ObjectKeyFromObject(ksmScale), ksmScale); err != nil {
			return err
		}
		if condition := meta.FindStatusCondition(ksmScale.Status.Conditions, conditionType); condition == nil || condition.Reason != reason {
			return fmt.Errorf("it is %v", condition)
		}
		return nil
	})
}

func TestInstall(t *testing.T) {
	install(t)
	ksmScale := &v1alpha1.KSMScale{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-"},
		Spec: v1alpha1.KSMScaleSpec{
			MonitorImage: "registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.20.0",
			Sharding:     &v1alpha1.ShardingConfig{Enabled: true, ShardCount: 2, MinReplicasPerShard: 1, MaxReplicasPerShard: 3},
			Monitoring:   v1alpha1.MonitoringConfig{Interval: metav1.Duration{Duration: scrapeInterval}},
		},
	}
	create(t, ksmScale)
	awaitReady(t, ksmScale)
	running := pods(t, monitoringNamespace, "app.kubernetes.io/instance="+ksmScale.Name)
	require.NotEmpty(t, running)
	released, err := image.Released(shared.root)
	require.NoError(t, err)
	for _, pod := range running {
		assert.Equal(t, released.Gate.Pinned(), pod.Spec.Containers[1].Image)
		assert.NotEmpty(t, pod.Status.PodIP)
		for _, current := range pod.Status.ContainerStatuses {
			assert.Zero(t, current.RestartCount, "%s of %s", current.Name, pod.Name)
		}
	}
	awaitCondition(t, ksmScale, v1alpha1.ConditionEvictable, v1alpha1.ReasonSinglePodDisruptionBudget)
	t.Run("kubectl ksmscale where", func(t *testing.T) { seeWhere(t, ksmScale) })
	t.Run("kubectl ksmscale verify without rights", func(t *testing.T) { seeRefusal(t, ksmScale) })
	t.Run("kubectl ksmscale verify", func(t *testing.T) { seeVerified(t, ksmScale) })
}
