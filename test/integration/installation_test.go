package integration

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/cluster"
	"github.com/example/ksmscale/test/installation"
)

// Installing again changes no object. After the documented uninstallation, no object is left that affects others.
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
	difference, err := installed.Kubectl(ctx, "diff", "--server-side", "-k", filepath.Join(root, "config/ksmscale"), "-l", "app.kubernetes.io/component!=adapter,app.kubernetes.io/component!=controller")
	require.NoError(t, err, "installing again would change: %s", difference)

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
		t.Helper()
		awaitGone(t, c, object)
	}
	gone(externalMetrics())
	gone(namespace)
	shardNamespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "monitoring"}}
	require.NoError(t, c.Get(ctx, client.ObjectKeyFromObject(shardNamespace), shardNamespace))
	assert.Nil(t, shardNamespace.DeletionTimestamp, "the namespace of the shards is not ours to delete")

	foreignAPIServiceStays(t, local, installed, c)
}

// foreignAPIServiceStays shows that another's APIService is neither taken over when KSMScale is installed and upgraded,
// nor deleted when it is uninstalled.
func foreignAPIServiceStays(t *testing.T, local *cluster.Cluster, installed *installation.Installation, c client.Client) {
	t.Helper()
	ctx := t.Context()
	foreign := registerOther(t, installed, c)
	require.NoError(t, installed.Apply(ctx))
	controller, err := installed.StartController(ctx, "controller-foreign")
	require.NoError(t, err)
	ksmScale := newKSMScale()
	ksmScale.Spec.Namespace = "monitoring"
	require.NoError(t, c.Create(ctx, ksmScale))
	require.EventuallyWithT(t, func(collect *assert.CollectT) {
		require.NoError(collect, c.Get(ctx, client.ObjectKeyFromObject(ksmScale), ksmScale))
		condition := meta.FindStatusCondition(ksmScale.Status.Conditions, v1alpha1.ConditionAutoscaling)
		require.NotNil(collect, condition)
		require.Equal(collect, v1alpha1.ReasonForeignAPIService, condition.Reason)
		require.Contains(collect, condition.Message, fmt.Sprintf("--delegate=other/metrics:%d", *foreign.Spec.Service.Port))
	}, eventually, poll)
	require.NoError(t, installed.Apply(ctx))

	_, err = installed.Kubectl(ctx, "delete", "ksmscales", "--all")
	require.NoError(t, err)
	require.NoError(t, controller.Stop(ctx))
	_, err = installed.Kubectl(ctx, "delete", "--timeout=2m", "-k", filepath.Join("..", "..", "config/ksmscale"))
	require.NoError(t, err)
	awaitGone(t, c, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: installation.Namespace}})

	left := externalMetrics()
	require.NoError(t, c.Get(ctx, client.ObjectKeyFromObject(left), left))
	assert.Equal(t, foreign.UID, left.UID)
	assert.Equal(t, foreign.Spec, left.Spec)
	assert.Equal(t, foreign.OwnerReferences, left.OwnerReferences)
	assert.Equal(t, foreign.Labels, left.Labels)
	response := ask(ctx, t, local.Config(), metricPath("default", othersMetric, "foo=bar"))
	assert.Equal(t, http.StatusOK, response.code, "the other server goes on: %s", response.body)
}

// registerOther starts another server of external metrics and registers it.
func registerOther(t *testing.T, installed *installation.Installation, c client.Client) *apiregistrationv1.APIService {
	t.Helper()
	foreign := externalMetrics()
	foreign.Spec = startOther(t, installed, c)
	require.NoError(t, c.Create(t.Context(), foreign))
	require.NoError(t, installed.AwaitMetrics(t.Context()))
	return foreign
}

// startOther starts another server of external metrics, and returns how it is registered.
func startOther(t *testing.T, installed *installation.Installation, c client.Client) apiregistrationv1.APIServiceSpec {
	t.Helper()
	ctx := t.Context()
	other, err := installed.NewOther(ctx)
	require.NoError(t, err)
	server, err := other.Start("other")
	require.NoError(t, err)
	t.Cleanup(server.Kill)
	ca, err := os.ReadFile(other.CA)
	require.NoError(t, err)
	require.NoError(t, c.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: installation.OtherNamespace}}))
	require.NoError(t, c.Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: installation.OtherNamespace, Name: installation.OtherService},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"},
	}))
	return apiregistrationv1.APIServiceSpec{
		Group: "external.metrics.k8s.io", Version: "v1beta1", GroupPriorityMinimum: 100, VersionPriority: 100, CABundle: ca,
		Service: &apiregistrationv1.ServiceReference{Namespace: installation.OtherNamespace, Name: installation.OtherService, Port: new(int32(other.Port))},
	}
}

func awaitGone(t *testing.T, c client.Client, object client.Object) {
	t.Helper()
	require.EventuallyWithT(t, func(collect *assert.CollectT) {
		err := c.Get(t.Context(), client.ObjectKeyFromObject(object), object)
		require.True(collect, apierrors.IsNotFound(err), "%T %s is still there: %v", object, object.GetName(), err)
	}, eventually, poll)
}
