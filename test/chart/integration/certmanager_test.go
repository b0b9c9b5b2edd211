package integration

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/cert"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/test/cluster"
)

// Names in the chart of the Secrets that cert-manager writes.
const (
	issuedSecret = "ksmscale-adapter-cert-manager"
	caSecret     = "ksmscale-ca"
)

// certified upgrades to a certificate from a real cert-manager, and has that issue others.
func (r *release) certified(t *testing.T) {
	startCertManager(t, r)
	r.upgrade(t, "ksmscale", current(t), withoutPods(values{"certificate": values{"source": "cert-manager"}}))
	own := r.secret("ksmscale-adapter-certificate")
	require.True(t, apierrors.IsNotFound(r.client.Get(t.Context(), client.ObjectKeyFromObject(own), own)))
	r.stop(t)
	r.start(t)

	first := r.awaitIssued(t, issuedSecret, nil)
	r.awaitServed(t, first)
	r.awaitTrusted(t, first)
	r.awaitReplicas(t, 105, 3, 2, 2)

	t.Run("another certificate", func(t *testing.T) {
		require.NoError(t, r.client.Delete(t.Context(), r.secret(issuedSecret)))
		renewed := r.awaitIssued(t, issuedSecret, first)
		assert.Equal(t, string(first.Data["ca.crt"]), string(renewed.Data["ca.crt"]))
		require.NoError(t, r.installed.MountCertificate(t.Context()))
		r.awaitServed(t, renewed)
		r.awaitTrusted(t, renewed)
		r.awaitReplicas(t, 120, 3, 3, 2)
	})
	t.Run("another CA", func(t *testing.T) {
		ca := r.awaitIssued(t, caSecret, nil)
		require.NoError(t, r.client.Delete(t.Context(), r.secret(caSecret)))
		ca = r.awaitIssued(t, caSecret, ca)
		require.NoError(t, r.client.Delete(t.Context(), r.secret(issuedSecret)))
		renewed := r.awaitIssued(t, issuedSecret, first)
		require.Equal(t, string(ca.Data[corev1.TLSCertKey]), string(renewed.Data["ca.crt"]))
		// Both, because an adapter may still serve the old certificate.
		r.awaitTrusted(t, renewed, first)
		require.NoError(t, r.installed.MountCertificate(t.Context()))
		r.awaitServed(t, renewed)
		r.awaitReplicas(t, 135, 3, 3, 3)
	})
	assert.True(t, r.adapter.Running(), "nothing was restarted for it")
	assert.True(t, r.controller.Running())
}

// startCertManager installs cert-manager's types and starts what `make cert-manager` has built, until the test ends.
func startCertManager(t *testing.T, r *release) {
	t.Helper()
	const types = "deploy/crds/"
	r.installTypes(t, certManagerModule,
		types+"cert-manager.io_certificates.yaml", types+"cert-manager.io_certificaterequests.yaml",
		types+"cert-manager.io_issuers.yaml", types+"cert-manager.io_clusterissuers.yaml",
		types+"acme.cert-manager.io_challenges.yaml", types+"acme.cert-manager.io_orders.yaml")
	r.awaitTypes(t, "certificates.cert-manager.io,certificaterequests.cert-manager.io,issuers.cert-manager.io,clusterissuers.cert-manager.io")
	certManager, err := cluster.StartProcess("cert-manager", filepath.Join(r.cluster.Logs(), "cert-manager.log"),
		exec.Command(filepath.Join(root, "bin", "cert-manager"), "--kubeconfig="+r.cluster.Kubeconfig()))
	require.NoError(t, err, "`make cert-manager` builds it")
	t.Cleanup(certManager.Kill)
}

func (r *release) secret(name string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: name}}
}

// awaitIssued waits until a Secret has a certificate, and another one than before if there was one.
func (r *release) awaitIssued(t *testing.T, name string, before *corev1.Secret) *corev1.Secret {
	t.Helper()
	secret := r.secret(name)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.NoError(c, r.client.Get(t.Context(), client.ObjectKeyFromObject(secret), secret))
		for _, key := range []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey, "ca.crt"} {
			require.NotEmpty(c, secret.Data[key])
		}
		if before != nil {
			require.NotEqual(c, string(before.Data[corev1.TLSCertKey]), string(secret.Data[corev1.TLSCertKey]))
		}
	}, eventually, poll)
	return secret
}

// awaitTrusted waits until the API server trusts the CAs of certificates, the current one first. It may also trust older
// CAs, because the controller cannot see here what adapters serve.
func (r *release) awaitTrusted(t *testing.T, issued ...*corev1.Secret) {
	t.Helper()
	var bundle []byte
	for _, secret := range issued {
		bundle = append(bundle, secret.Data["ca.crt"]...)
	}
	apiService := &apiregistrationv1.APIService{ObjectMeta: metav1.ObjectMeta{Name: "v1beta1.external.metrics.k8s.io"}}
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		r.get(c, apiService)
		require.True(c, bytes.HasPrefix(apiService.Spec.CABundle, bundle), "%s", apiService.Spec.CABundle)
	}, eventually, poll)
}

// awaitServed waits until the adapter serves the certificate of a Secret, and clients that trust its CA accept it.
func (r *release) awaitServed(t *testing.T, secret *corev1.Secret) {
	t.Helper()
	adapter, err := url.Parse(r.adapter.HealthURL)
	require.NoError(t, err)
	issued, err := cert.ParseCertsPEM(secret.Data[corev1.TLSCertKey])
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(secret.Data["ca.crt"]))
	dialer := &tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: "ksmscale-adapter." + r.namespace + ".svc"}}
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		connection, err := dialer.DialContext(t.Context(), "tcp", adapter.Host)
		require.NoError(c, err)
		defer connection.Close()
		secured, ok := connection.(*tls.Conn)
		require.True(c, ok)
		require.True(c, bytes.Equal(issued[0].Raw, secured.ConnectionState().PeerCertificates[0].Raw), "another certificate is served")
	}, eventually, poll)
}
