package integration

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/example/ksmscale/api/v1alpha1"
)

// othersMetric is a metric of the other server: 42 where foo is bar, 43 where it is baz.
const othersMetric = "my-external-metric"

// The adapter is in front of another server of external metrics. Each one's metrics scale what reads them; when the
// other server dies, that is all that stops.
func TestDelegate(t *testing.T) {
	leaveRunning(t)
	other, err := shared.installed.NewOther(t.Context())
	require.NoError(t, err)
	server, err := other.Start("other")
	require.NoError(t, err)
	t.Cleanup(server.Kill)
	setNodes(t, 60)
	ksmScale := create(t, newKSMScale())
	awaitReplicas(t, ksmScale, 2, 1, 1)
	restartAdapter(t, "adapter-delegating", "--delegate="+other.URL, "--delegate-ca-file="+other.CA)

	// The adapter's own rights.
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		response := getMetric(t, "default", othersMetric, "")
		require.Equal(c, http.StatusServiceUnavailable, response.code, response.body)
		require.Contains(c, response.body, `cannot list resource \"my-external-metric\"`)
		require.Contains(c, response.body, "config/delegate")
	}, eventually, poll)
	rbac := filepath.Join("..", "..", "config", "delegate", "rbac.yaml")
	_, err = shared.installed.Kubectl(t.Context(), "apply", "--server-side", "-f", rbac)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := shared.installed.Kubectl(afterwards(t), "delete", "-f", rbac)
		require.NoError(t, err)
	})
	awaitOthersValues(t, "foo in (bar,baz)", 42, 43)
	awaitOthersValues(t, "foo=baz", 43)
	awaitDiscovery(t, "externalmetrics", v1alpha1.MetricDesiredReplicas, v1alpha1.MetricNodes)

	delegatedRights(t, ksmScale.Spec.Namespace)
	deployment := scaledByOther(t, ksmScale.Spec.Namespace)
	awaitScale(t, deployment, 2)
	setNodes(t, 75)
	awaitReplicas(t, ksmScale, 2, 2, 1)

	server.Kill()
	<-server.Done()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		autoscaler := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: deployment.ObjectMeta}
		require.NoError(c, get(t, autoscaler))
		require.Contains(c, fmt.Sprint(autoscaler.Status.Conditions), "--delegate="+other.URL+" names cannot be reached")
	}, eventually, poll)
	setNodes(t, 90)
	awaitReplicas(t, ksmScale, 2, 2, 2)
	awaitCondition(t, ksmScale, v1alpha1.ConditionAutoscaling, metav1.ConditionTrue, v1alpha1.ReasonFollowingNodes)
	awaitDiscovery(t, "externalmetrics", v1alpha1.MetricDesiredReplicas)
	awaitScale(t, deployment, 2)
	ownMetrics := askWith(t.Context(), t, monitorClient(t), shared.adapter.MetricsURL)
	assert.Contains(t, ownMetrics.body, `ksmscale_delegated_request_duration_seconds_count{code="200",request="values"}`)
	assert.Contains(t, ownMetrics.body, `ksmscale_delegated_request_duration_seconds_count{code="503",request="values"}`)

	restarted, err := other.Start("other-again")
	require.NoError(t, err)
	t.Cleanup(restarted.Kill)
	awaitOthersValues(t, "foo=bar", 42)
}

// restartAdapter replaces the running adapter by one with more flags, until the test ends. Call it after leaveRunning.
func restartAdapter(t *testing.T, name string, flags ...string) {
	t.Helper()
	require.NoError(t, shared.adapter.Stop(t.Context()))
	var err error
	shared.adapter, err = shared.installed.StartAdapter(t.Context(), name, flags...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, shared.adapter.Stop(afterwards(t))) })
	require.NoError(t, shared.installed.AwaitMetrics(t.Context()))
}

func awaitOthersValues(t *testing.T, selector string, expected ...int64) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		response := getMetric(t, "default", othersMetric, selector)
		require.Equal(c, http.StatusOK, response.code, response.body)
		var values []int64
		for _, item := range response.list.Items {
			values = append(values, item.Value.Value())
		}
		require.Equal(c, expected, values)
	}, eventually, poll)
}

func awaitDiscovery(t *testing.T, metricNames ...string) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		response := ask(t.Context(), c, shared.cluster.Config(), "/apis/external.metrics.k8s.io/v1beta1")
		for _, metric := range metricNames {
			require.Contains(c, response.body, strconv.Quote(metric))
		}
	}, eventually, poll)
}

// delegatedRights shows that the rights of the caller decide, not the rights of the adapter.
func delegatedRights(t *testing.T, namespace string) {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "others-reader"}}
	require.NoError(t, shared.client.Create(t.Context(), account))
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, shared.cluster.KubeconfigFor(t.Context(), account.Namespace, account.Name, kubeconfig))
	viaAPIServer, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	require.NoError(t, err)
	direct := rest.CopyConfig(viaAPIServer)
	direct.Host = shared.adapter.HealthURL
	direct.TLSClientConfig = rest.TLSClientConfig{Insecure: true}

	path := metricPath(namespace, othersMetric, "")
	assert.Equal(t, http.StatusForbidden, ask(t.Context(), t, viaAPIServer, path).code, "through the API server")
	response := ask(t.Context(), t, direct, path)
	assert.Equal(t, http.StatusForbidden, response.code, "past the API server")
	assert.Contains(t, response.body, account.Name, "it is the caller who may not")

	grant(t, account, othersMetric)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.Equal(c, http.StatusOK, ask(t.Context(), c, viaAPIServer, path).code)
		require.Equal(c, http.StatusOK, ask(t.Context(), c, direct, path).code)
	}, eventually, poll)
	for _, other := range []string{metricPath(namespace, "other-external-metric", ""), metricPath("default", othersMetric, "")} {
		assert.Equal(t, http.StatusForbidden, ask(t.Context(), t, viaAPIServer, other).code, other)
		assert.Equal(t, http.StatusForbidden, ask(t.Context(), t, direct, other).code, other)
	}
}

// scaledByOther creates a Deployment that a metric of the other server scales to 2.
func scaledByOther(t *testing.T, namespace string) *appsv1.Deployment {
	t.Helper()
	selector := map[string]string{"app": "worker"}
	meta := metav1.ObjectMeta{Namespace: namespace, Name: "worker"}
	deployment := &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: selector},
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: selector},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "worker", Image: "worker"}}},
		},
	}}
	require.NoError(t, shared.client.Create(t.Context(), deployment))
	average := resource.MustParse("21")
	autoscaler := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: meta, Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: meta.Name},
		MaxReplicas:    5,
		Metrics: []autoscalingv2.MetricSpec{{
			Type: autoscalingv2.ExternalMetricSourceType,
			External: &autoscalingv2.ExternalMetricSource{
				Metric: autoscalingv2.MetricIdentifier{Name: othersMetric, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"foo": "bar"}}},
				Target: autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: &average},
			},
		}},
	}}
	require.NoError(t, shared.client.Create(t.Context(), autoscaler))
	return deployment
}

func awaitScale(t *testing.T, deployment *appsv1.Deployment, replicas int32) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.NoError(c, get(t, deployment))
		require.Equal(c, replicas, *deployment.Spec.Replicas)
	}, eventually, poll)
}

// The component for kustomize changes config/default into what an API server takes.
func TestDelegateComponent(t *testing.T) {
	directory, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	config, err := filepath.Abs(filepath.Join("..", "..", "config"))
	require.NoError(t, err)
	config, err = filepath.Rel(directory, config)
	require.NoError(t, err)
	overlay := fmt.Sprintf("resources: [%s/default]\ncomponents: [%s/delegate]\n", config, config)
	require.NoError(t, os.WriteFile(filepath.Join(directory, "kustomization.yaml"), []byte(overlay), 0o600))

	applied, err := shared.installed.Kubectl(t.Context(), "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-o", "yaml", "-k", directory)
	require.NoError(t, err)
	for _, part := range []string{
		"--delegate=keda/keda-operator-metrics-apiserver:443", "--delegate-ca-file=/etc/ksmscale/delegate/ca.crt",
		"name: ksmscale-delegate-ca", "mountPath: /etc/ksmscale/delegate", "name: ksmscale-adapter-delegate",
	} {
		assert.Contains(t, applied, part)
	}
}
