package e2e

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/cert"

	"github.com/example/ksmscale/api/v1alpha1"
)

// authorityKey is where cert-manager writes the authority, beside the certificate.
const authorityKey = "ca.crt"

// makeCertificate makes one for every Service of the shards, and returns the authority that has signed it.
func (o optionObjects) makeCertificate(t *testing.T) []byte {
	t.Helper()
	certificate, key, err := cert.GenerateSelfSignedCertKey("*."+monitoringNamespace+".svc", nil, nil)
	require.NoError(t, err)
	chain, err := cert.ParseCertsPEM(certificate)
	require.NoError(t, err)
	authority, err := cert.EncodeCertificates(chain[len(chain)-1])
	require.NoError(t, err)
	metadata := metav1.ObjectMeta{Namespace: monitoringNamespace, Name: o.named + "-certificate"}
	create(t, &corev1.Secret{
		ObjectMeta: metadata, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{corev1.TLSCertKey: certificate, corev1.TLSPrivateKeyKey: key, authorityKey: authority},
	}, &corev1.ConfigMap{ObjectMeta: metadata, Data: map[string]string{authorityKey: string(authority)}})
	return authority
}

// makeReader makes the account, with its token in a Secret, that docs/options.md says that Prometheus may use.
func makeReader(t *testing.T) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "reader.yaml")
	require.NoError(t, os.WriteFile(file, []byte(documented(t, "options.md", "authFilter")), 0o600))
	kubectl(t, "apply", "--server-side", "-f", file)
	t.Cleanup(func() { kubectl(t, "delete", "--ignore-not-found", "-f", file) })
}

// secured serves with TLS, to those with a token, and is scraped so by objects of a kind for the Prometheus Operator. The
// authority is in a Secret for one kind, and in a ConfigMap for the other.
func (o optionObjects) secured(kind v1alpha1.MonitoringType) func(*v1alpha1.KSMScaleSpec) {
	return func(spec *v1alpha1.KSMScaleSpec) {
		certificate := o.named + "-certificate"
		spec.Metrics = v1alpha1.MetricsConfig{
			Resources: []string{"configmaps", "pods"}, AuthFilter: true, TLS: v1alpha1.TLSConfig{SecretName: certificate},
		}
		authority := v1alpha1.KeySelector{Name: certificate, Key: authorityKey}
		ca := &v1alpha1.SecretOrConfigMap{Secret: authority}
		if kind == v1alpha1.MonitoringServiceMonitor {
			ca = &v1alpha1.SecretOrConfigMap{ConfigMap: authority}
		}
		spec.Monitoring = v1alpha1.MonitoringConfig{
			Type: kind, Interval: metav1.Duration{Duration: prometheusInterval}, Labels: map[string]v1alpha1.LabelValue{selectedLabel: selected}, Rules: true,
			TLSConfig:     &v1alpha1.ScrapeTLSConfig{CA: ca},
			Authorization: v1alpha1.ScrapeAuthorization{Credentials: v1alpha1.KeySelector{Name: "kube-state-metrics-reader", Key: "token"}},
		}
	}
}

// seeScraped has a Prometheus of the Prometheus Operator get everything from the one pod of a shard: with TLS from
// kube-state-metrics, whose certificate it verifies and which asks for a token, and without from the gate.
func (o optionObjects) seeScraped(t *testing.T, prometheus *prometheusServer) {
	t.Helper()
	prometheus.Await(t, `count(up{job="kube-state-metrics"} == 1)`, 1)
	prometheus.Await(t, `count(up{job="kube-state-metrics-pods"} == 1)`, 2)
	prometheus.Await(t, fmt.Sprintf("count(kube_pod_info{namespace=%q})", o.named), 3)
	prometheus.Await(t, "count(ksmscale_gate_open)", 1)
	prometheus.Await(t, "count(kube_state_metrics_build_info)", 1)
	targets, err := prometheus.Targets(t.Context())
	require.NoError(t, err)
	schemes := map[string]string{}
	for _, target := range targets.Active {
		scraped, err := url.Parse(target.ScrapeURL)
		require.NoError(t, err)
		if job := string(target.Labels["job"]); job == v1alpha1.JobMetrics || job == v1alpha1.JobPods {
			schemes[scraped.Port()] = scraped.Scheme
		}
	}
	assert.Equal(t, map[string]string{"8080": "https", "8081": "https", "8082": "http"}, schemes)
}
