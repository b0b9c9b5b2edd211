package integration

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/cluster"
	"github.com/example/ksmscale/test/installation"
)

// Installing again changes nothing, and the README's way to uninstall leaves nothing that hinders anyone.
func TestInstallAgainAndUninstall(t *testing.T) {
	ctx := t.Context()
	local := cluster.StartT(t, cluster.Options{HPASyncPeriod: time.Second})
	installed, err := installation.Install(ctx, local)
	require.NoError(t, err)
	controller, adapter, err := installed.StartAll(ctx)
	require.NoError(t, err)
	require.NoError(t, local.SetNodes(ctx, 10))
	c, err := client.New(local.Config(), client.Options{Scheme: shared.client.Scheme()})
	require.NoError(t, err)
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: installation.Namespace}}

	root := filepath.Join("..", "..")
	again, err := installed.Kubectl(ctx, "diff", "--server-side", "-k", filepath.Join(root, "config/ksmscale"), "-l", "app.kubernetes.io/component!=adapter,app.kubernetes.io/component!=controller")
	require.NoError(t, err, "installing again would change: %s", again)

	ksmScale := newKSMScale()
	ksmScale.Spec.Namespace = "monitoring"
	require.NoError(t, c.Create(ctx, ksmScale))
	require.EventuallyWithT(t, func(collect *assert.CollectT) {
		require.NoError(collect, c.Get(ctx, client.ObjectKeyFromObject(ksmScale), ksmScale))
		require.Equal(collect, v1alpha1.PhaseReady, ksmScale.Status.Phase)
	}, eventually, poll)

	_, err = installed.Kubectl(ctx, "delete", "ksmscales", "--all")
	require.NoError(t, err)
	require.NoError(t, adapter.Stop(ctx))
	require.NoError(t, controller.Stop(ctx))
	_, err = installed.Kubectl(ctx, "delete", "--timeout=2m", "-k", filepath.Join(root, "config/ksmscale"))
	require.NoError(t, err)

	gone := func(object client.Object) {
		require.EventuallyWithT(t, func(collect *assert.CollectT) {
			err := c.Get(ctx, client.ObjectKeyFromObject(object), object)
			require.True(collect, apierrors.IsNotFound(err), "%T %s is still there: %v", object, object.GetName(), err)
		}, eventually, poll)
	}
	gone(externalMetrics())
	gone(namespace)
	monitoring := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "monitoring"}}
	require.NoError(t, c.Get(ctx, client.ObjectKeyFromObject(monitoring), monitoring))
	assert.Nil(t, monitoring.DeletionTimestamp, "the namespace of the shards is not ours to delete")
}
