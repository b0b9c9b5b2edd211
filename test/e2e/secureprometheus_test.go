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

// caKey is the key under which cert-manager writes the CA, next to the certificate.
const caKey = "ca.crt"

// makeCertificate creates a certificate for every Service of the shards, and returns its CA.
func (o optionObjects) makeCertificate(t *testing.T) []byte {
	t.Helper()
	certificate, key, err := cert.GenerateSelfSignedCertKey("*."+monitoringNamespace+".svc", nil, nil)
	require.NoError(t, err)
	chain, err := cert.ParseCertsPEM(certificate)
	require.NoError(t, err)
	ca, err := cert.EncodeCertificates(chain[len(chain)-1])
	require.NoError(t, err)
	metadata := metav1.ObjectMeta{Namespace: monitoringNamespace, Name: o.named + "-certificate"}
	create(t, &corev1.Secret{
		ObjectMeta: metadata, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{corev1.TLSCertKey: certificate, corev1.TLSPrivateKeyKey: key, caKey: ca},
	}, &corev1.ConfigMap{ObjectMeta: metadata, Data: map[string]string{caKey: string(ca)}})
	return ca
}

// makeReader creates the account of docs/options.md, with its token in a Secret.
func makeReader(t *testing.T) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "reader.yaml")
	require.NoError(t, os.WriteFile(file, []byte(documented(t, "options.md", "authFilter")), 0o600))
	kubectl(t, "apply", "--server-side", "-f", file)
	t.Cleanup(func() { kubectl(t, "delete", "--ignore-not-found", "-f", file) })
}

// secured serves with TLS, to clients with a token. Objects of a kind for the Prometheus Operator scrape it in this way.
// The CA is in a Secret for one kind, and in a ConfigMap for the other.
func (o optionObjects) secured(kind v1alpha1.MonitoringType) func(*v1alpha1.KSMScaleSpec) {
	return func(spec *v1alpha1.KSMScaleSpec) {
		certificate := o.named + "-certificate"
		spec.Metrics = v1alpha1.MetricsConfig{
			Resources: []string{"configmaps", "pods"}, AuthFilter: true, TLS: v1alpha1.TLSConfig{SecretName: certificate},
		}
		selector := v1alpha1.KeySelector{Name: certificate, Key: caKey}
		ca := &v1alpha1.SecretOrConfigMap{Secret: selector}
		if kind == v1alpha1.MonitoringServiceMonitor {
			ca = &v1alpha1.SecretOrConfigMap{ConfigMap: selector}
		}
		spec.Monitoring = v1alpha1.MonitoringConfig{
			Type: kind, Interval: metav1.Duration{Duration: prometheusInterval}, Labels: map[string]v1alpha1.LabelValue{selectedLabel: selected}, Rules: true,
			TLSConfig:     &v1alpha1.ScrapeTLSConfig{CA: ca},
			Authorization: v1alpha1.ScrapeAuthorization{Credentials: v1alpha1.KeySelector{Name: "kube-state-metrics-reader", Key: "token"}},
		}
	}
}

// seeScraped checks that a Prometheus of the Prometheus Operator scrapes everything from the one pod of a shard. It
// scrapes kube-state-metrics with TLS and a token, and verifies its certificate. It scrapes the gate without TLS.
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
		address, err := url.Parse(target.ScrapeURL)
		require.NoError(t, err)
		if job := string(target.Labels["job"]); job == v1alpha1.JobMetrics || job == v1alpha1.JobPods {
			schemes[address.Port()] = address.Scheme
		}
	}
	assert.Equal(t, map[string]string{"8080": "https", "8081": "https", "8082": "http"}, schemes)
}
