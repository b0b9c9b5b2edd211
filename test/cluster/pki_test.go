package cluster

import (
	"crypto/x509"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

func TestPKI(t *testing.T) {
	p := pki{t.TempDir()}
	require.NoError(t, p.writeAll())

	t.Run("server is valid for every name it is called by", func(t *testing.T) {
		for _, name := range []string{"127.0.0.1", "localhost", "kubernetes.default.svc", apiServerServiceIP} {
			assert.NoError(t, verify(t, p, "server", "ca", x509.ExtKeyUsageServerAuth, name))
		}
		assert.Error(t, verify(t, p, "server", "ca", x509.ExtKeyUsageClientAuth, "localhost"))
	})
	t.Run("users are clients with their groups", func(t *testing.T) {
		for name, user := range users {
			assert.NoError(t, verify(t, p, name, "ca", x509.ExtKeyUsageClientAuth, ""))
			subject := certificate(t, p, name).Subject
			assert.Equal(t, user.CommonName, subject.CommonName)
			assert.Equal(t, user.Organization, subject.Organization)
		}
	})
	t.Run("the proxy has its own CA", func(t *testing.T) {
		assert.NoError(t, verify(t, p, proxyUser, "proxy-ca", x509.ExtKeyUsageClientAuth, ""))
		assert.Error(t, verify(t, p, proxyUser, "ca", x509.ExtKeyUsageClientAuth, ""))
		assert.Error(t, verify(t, p, admin, "proxy-ca", x509.ExtKeyUsageClientAuth, ""))
	})
	t.Run("the service-account key can be read", func(t *testing.T) {
		_, err := keyutil.PrivateKeyFromFile(p.keyFile("service-account"))
		assert.NoError(t, err)
	})
}

func verify(t *testing.T, p pki, name, caName string, usage x509.ExtKeyUsage, host string) error {
	t.Helper()
	roots, err := cert.NewPool(p.certFile(caName))
	require.NoError(t, err)
	options := x509.VerifyOptions{Roots: roots, DNSName: host, KeyUsages: []x509.ExtKeyUsage{usage}}
	_, err = certificate(t, p, name).Verify(options)
	return err
}

func certificate(t *testing.T, p pki, name string) *x509.Certificate {
	t.Helper()
	certificates, err := cert.CertsFromFile(p.certFile(name))
	require.NoError(t, err)
	require.Len(t, certificates, 1)
	return certificates[0]
}
