package integration

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/metrics/pkg/apis/external_metrics/v1beta1"

	"github.com/example/ksmscale/api/v1alpha1"
)

type answer struct {
	code int
	body string
	list v1beta1.ExternalMetricValueList
}

func metricPath(namespace, metric, selector string) string {
	return fmt.Sprintf("/apis/external.metrics.k8s.io/v1beta1/namespaces/%s/%s?%s",
		namespace, metric, url.Values{"labelSelector": {selector}}.Encode())
}

// getMetric requests a metric from the API server as its administrator.
func getMetric(t *testing.T, namespace, metric, selector string) answer {
	t.Helper()
	return ask(t.Context(), t, shared.cluster.Config(), metricPath(namespace, metric, selector))
}

// ask requests a path below the address of a client configuration.
func ask(ctx context.Context, t require.TestingT, config *rest.Config, path string) answer {
	httpClient, err := rest.HTTPClientFor(config)
	require.NoError(t, err)
	return askWith(ctx, t, httpClient, config.Host+path)
}

func askWith(ctx context.Context, t require.TestingT, httpClient *http.Client, address string) answer {
	getRequest, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	require.NoError(t, err)
	response, err := httpClient.Do(getRequest)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	parsed := answer{code: response.StatusCode, body: string(body)}
	if parsed.code == http.StatusOK {
		// Not every answer is a list; those that are not are looked at as text.
		_ = json.Unmarshal(body, &parsed.list)
	}
	return parsed
}

func TestSelectors(t *testing.T) {
	setNodes(t, 60)
	ksmScale := create(t, newKSMScale())
	awaitReplicas(t, ksmScale, 2, 1, 1)
	own := "ksmscale=" + ksmScale.Name

	for _, test := range []struct {
		name, metric, selector string
		code                   int
		values                 []int64
	}{
		{"one shard", v1alpha1.MetricDesiredReplicas, own + ",shard=0,total_shards=3", 200, []int64{2}},
		{"all shards, which a HorizontalPodAutoscaler adds up", v1alpha1.MetricDesiredReplicas, own, 200, []int64{2, 1, 1}},
		{"empty is everything in the namespace", v1alpha1.MetricDesiredReplicas, "", 200, []int64{2, 1, 1}},
		{"set-based", v1alpha1.MetricDesiredReplicas, "shard in (0,2)", 200, []int64{2, 1}},
		{"not in", v1alpha1.MetricDesiredReplicas, "shard notin (0)", 200, []int64{1, 1}},
		{"not equal", v1alpha1.MetricDesiredReplicas, "shard!=1", 200, []int64{2, 1}},
		{"exists", v1alpha1.MetricDesiredReplicas, "total_shards", 200, []int64{2, 1, 1}},
		{"nodes", v1alpha1.MetricNodes, own, 200, []int64{60}},
		{"an unknown shard", v1alpha1.MetricDesiredReplicas, own + ",shard=3", 404, nil},
		{"another partition", v1alpha1.MetricDesiredReplicas, own + ",shard=0,total_shards=5", 404, nil},
		{"an unknown KSMScale", v1alpha1.MetricDesiredReplicas, "ksmscale=other", 404, nil},
		{"a label that is not there", v1alpha1.MetricNodes, "shard=0", 404, nil},
		{"an unknown metric", "other", "", 404, nil},
		{"malformed", v1alpha1.MetricDesiredReplicas, "shard in (", 400, nil},
		{"malformed value", v1alpha1.MetricDesiredReplicas, "shard=-x-", 400, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			response := getMetric(t, ksmScale.Spec.Namespace, test.metric, test.selector)
			assert.Equal(t, test.code, response.code, response.body)
			var values []int64
			for _, item := range response.list.Items {
				values = append(values, item.Value.Value())
				assert.False(t, item.Timestamp.IsZero())
			}
			assert.Equal(t, test.values, values)
		})
	}

	discovery := ask(t.Context(), t, shared.cluster.Config(), "/apis/external.metrics.k8s.io/v1beta1")
	assert.Contains(t, discovery.body, v1alpha1.MetricDesiredReplicas)
	assert.Contains(t, discovery.body, v1alpha1.MetricNodes)
}

func TestRequestsWithoutRights(t *testing.T) {
	setNodes(t, 10)
	ksmScale := create(t, newKSMScale())
	awaitReplicas(t, ksmScale, 1, 1, 1)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ksmScale.Spec.Namespace, Name: "reader"}}
	require.NoError(t, shared.client.Create(t.Context(), account))
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, shared.cluster.KubeconfigFor(t.Context(), account.Namespace, account.Name, kubeconfig))
	viaAPIServer, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	require.NoError(t, err)
	direct := rest.CopyConfig(viaAPIServer)
	direct.Host = shared.adapter.HealthURL
	direct.TLSClientConfig = rest.TLSClientConfig{Insecure: true}
	anonymous, bogus := rest.CopyConfig(direct), rest.CopyConfig(direct)
	anonymous.BearerToken, bogus.BearerToken = "", "bogus"

	path := metricPath(ksmScale.Spec.Namespace, v1alpha1.MetricDesiredReplicas, "")
	assert.Equal(t, http.StatusForbidden, ask(t.Context(), t, viaAPIServer, path).code, "through the API server")
	assert.Equal(t, http.StatusForbidden, ask(t.Context(), t, direct, path).code, "past the API server")
	assert.Equal(t, http.StatusForbidden, ask(t.Context(), t, anonymous, path).code, "past the API server, as nobody")
	assert.Equal(t, http.StatusUnauthorized, ask(t.Context(), t, bogus, path).code, "past the API server, with a token of nobody's")

	grant(t, account, v1alpha1.MetricDesiredReplicas)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.Equal(c, http.StatusOK, ask(t.Context(), c, viaAPIServer, path).code)
	}, eventually, poll)
}

// grant lets a service account read some external metrics in its namespace.
func grant(t *testing.T, account *corev1.ServiceAccount, metricNames ...string) {
	t.Helper()
	role := &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Namespace: account.Namespace, Name: account.Name},
		Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{"external.metrics.k8s.io"}, Resources: metricNames, Verbs: []string{"list", "get"},
		}},
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: role.ObjectMeta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: account.Namespace, Name: account.Name}},
	}
	require.NoError(t, shared.client.Create(t.Context(), role))
	require.NoError(t, shared.client.Create(t.Context(), binding))
}

// Adapter and controller export metrics, to those with the right to read them.
func TestOwnMetrics(t *testing.T) {
	setNodes(t, 60)
	ksmScale := create(t, newKSMScale())
	awaitReplicas(t, ksmScale, 2, 1, 1)
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAsPlanned)
	planned := []string{
		fmt.Sprintf(`ksmscale_configured_shards{ksmscale="%s"} 3`, ksmScale.Name),
		fmt.Sprintf(`ksmscale_desired_replicas{ksmscale="%s",shard="0",total_shards="3"} 2`, ksmScale.Name),
		fmt.Sprintf(`ksmscale_nodes{ksmscale="%s"} 60`, ksmScale.Name),
		"ksmscale_last_node_event_timestamp_seconds",
	}
	for _, test := range []struct {
		name, url string
		wanted    []string
	}{
		{"adapter", shared.adapter.MetricsURL, append(planned, "apiserver_request_total")},
		{"controller", shared.controller.MetricsURL, append(planned, "controller_runtime_reconcile_total",
			fmt.Sprintf(`ksmscale_ready_replicas{ksmscale="%s",shard="0",total_shards="3"} 2`, ksmScale.Name),
			fmt.Sprintf(`ksmscale_shard_covered{ksmscale="%s",shard="2",total_shards="3"} 1`, ksmScale.Name),
			fmt.Sprintf(`ksmscale_status_condition{condition="Ready",ksmscale="%s",status="true"} 1`, ksmScale.Name),
			fmt.Sprintf(`ksmscale_autoscaling_mode{ksmscale="%s",mode="HorizontalPodAutoscaler"} 1`, ksmScale.Name),
			`ksmscale_certificate_expiration_timestamp_seconds{certificate="server"}`,
			`ksmscale_certificate_renewal_timestamp_seconds{certificate="server"}`)},
	} {
		t.Run(test.name, func(t *testing.T) {
			httpClient := monitorClient(t)
			require.EventuallyWithT(t, func(c *assert.CollectT) {
				response := askWith(t.Context(), c, httpClient, test.url)
				require.Equal(c, http.StatusOK, response.code, response.body)
				for _, wanted := range test.wanted {
					assert.Contains(c, response.body, wanted)
				}
			}, eventually, poll)
			nobody := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
			assert.Contains(t, []int{http.StatusUnauthorized, http.StatusForbidden}, askWith(t.Context(), t, nobody, test.url).code)
		})
	}
}

// monitorClient is an HTTP client with the rights of a Prometheus, until the test ends.
func monitorClient(t *testing.T) *http.Client {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", GenerateName: "prometheus-"}}
	require.NoError(t, shared.client.Create(t.Context(), account))
	t.Cleanup(func() { remove(t, account) })
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: account.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:monitoring"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: account.Namespace, Name: account.Name}},
	}
	require.NoError(t, shared.client.Create(t.Context(), binding))
	t.Cleanup(func() { remove(t, binding) })
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, shared.cluster.KubeconfigFor(t.Context(), account.Namespace, account.Name, kubeconfig))
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	require.NoError(t, err)
	config.TLSClientConfig = rest.TLSClientConfig{Insecure: true}
	httpClient, err := rest.HTTPClientFor(config)
	require.NoError(t, err)
	return httpClient
}
