package e2e

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
)

// exported are the families that the Service of a single shard leads to, by name.
func exported(t *testing.T, ksmScale *v1alpha1.KSMScale, token string) map[string]*dto.MetricFamily {
	t.Helper()
	return metrics(t, serviceAddress(t, ksmScale), token)
}

func serviceAddress(t *testing.T, ksmScale *v1alpha1.KSMScale) string {
	t.Helper()
	service := &corev1.Service{}
	name := v1alpha1.Shard{KSMScale: ksmScale.Name, Total: ksmScale.Spec.TotalShards()}.Name()
	require.NoError(t, shared.client.Get(t.Context(), client.ObjectKey{Namespace: monitoringNamespace, Name: name}, service))
	return fmt.Sprintf("http://%s:%d/metrics", service.Spec.ClusterIP, v1alpha1.PortMetrics)
}

func podAddress(t *testing.T, ksmScale *v1alpha1.KSMScale, port int32) string {
	t.Helper()
	return fmt.Sprintf("http://%s:%d/metrics", shardPods(t, ksmScale)[0].Status.PodIP, port)
}

func metrics(t *testing.T, address, token string) map[string]*dto.MetricFamily {
	t.Helper()
	response := request(t, address, token)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode, address)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	require.NoError(t, err)
	return families
}

func status(t *testing.T, address, token string) int {
	t.Helper()
	response := request(t, address, token)
	_, _ = io.Copy(io.Discard, response.Body)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}

func request(t *testing.T, address, token string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	require.NoError(t, err)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	return response
}

func token(t *testing.T, namespace, account string) string {
	t.Helper()
	made, err := shared.clientset.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	require.NoError(t, err)
	return made.Status.Token
}

func seriesIn(family *dto.MetricFamily, namespace string) []*dto.Metric {
	return slices.DeleteFunc(slices.Clone(family.GetMetric()), func(series *dto.Metric) bool {
		return labelOf(series, "namespace") != namespace
	})
}

func labelOf(series *dto.Metric, name string) string {
	for _, label := range series.GetLabel() {
		if label.GetName() == name {
			return label.GetValue()
		}
	}
	return ""
}
