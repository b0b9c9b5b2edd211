package e2e

import (
	"bytes"
	"context"
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
func exported(t *testing.T, ksmScale *v1alpha1.KSMScale, bearerToken string) map[string]*dto.MetricFamily {
	t.Helper()
	return metrics(t, serviceAddress(t, ksmScale), bearerToken)
}

func serviceAddress(t *testing.T, ksmScale *v1alpha1.KSMScale) string {
	t.Helper()
	service := &corev1.Service{}
	name := v1alpha1.Shard{KSMScale: ksmScale.Name, Total: ksmScale.TotalShards()}.Name()
	require.NoError(t, shared.client.Get(t.Context(), client.ObjectKey{Namespace: monitoringNamespace, Name: name}, service))
	return fmt.Sprintf("http://%s:%d/metrics", service.Spec.ClusterIP, v1alpha1.PortMetrics)
}

func podAddress(t *testing.T, ksmScale *v1alpha1.KSMScale, port int32) string {
	t.Helper()
	return fmt.Sprintf("http://%s:%d/metrics", shardPods(t, ksmScale)[0].Status.PodIP, port)
}

func metrics(t *testing.T, address, bearerToken string) map[string]*dto.MetricFamily {
	t.Helper()
	code, body := request(t, address, bearerToken)
	require.Equal(t, http.StatusOK, code, address)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	require.NoError(t, err)
	return families
}

func status(t *testing.T, address, bearerToken string) int {
	t.Helper()
	code, _ := request(t, address, bearerToken)
	return code
}

// request waits for an answer: the way through a Service may be there a moment after its pod is ready.
func request(t *testing.T, address, bearerToken string) (code int, body []byte) {
	t.Helper()
	await(t, "an answer of "+address, func(ctx context.Context) error {
		getRequest, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return err
		}
		if bearerToken != "" {
			getRequest.Header.Set("Authorization", "Bearer "+bearerToken)
		}
		response, err := http.DefaultClient.Do(getRequest)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		code = response.StatusCode
		body, err = io.ReadAll(response.Body)
		return err
	})
	return code, body
}

func token(t *testing.T, namespace, account string) string {
	t.Helper()
	created, err := shared.clientset.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	require.NoError(t, err)
	return created.Status.Token
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
