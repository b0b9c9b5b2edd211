package ksm

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"
)

func TestTheCertificateHasToBeTheOneInTheFile(t *testing.T) {
	firstCertificate, firstKey := newCertificate(t)
	second, secondKey := newCertificate(t)
	var serving tls.Certificate
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	server.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{Certificates: []tls.Certificate{serving}, MinVersion: tls.VersionTLS12}, nil
	}}
	server.StartTLS()
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "tls.crt")

	for _, test := range []struct {
		name             string
		file             []byte
		certificate, key []byte
		message          string
	}{
		{"the same", firstCertificate, firstCertificate, firstKey, ""},
		{"another", firstCertificate, second, secondKey, errOtherCertificate.Error()},
		{"a new one, once both have it", second, second, secondKey, ""},
		{"none", []byte("nothing"), second, secondKey, "has no certificate"},
	} {
		t.Run(test.name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(file, test.file, 0o600))
			var err error
			serving, err = tls.X509KeyPair(test.certificate, test.key)
			require.NoError(t, err)
			client, err := NewHTTPClient(&rest.Config{}, file, false)
			require.NoError(t, err)
			t.Cleanup(client.CloseIdleConnections)
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
			require.NoError(t, err)
			response, err := client.Do(request)
			if test.message != "" {
				require.ErrorContains(t, err, test.message)
				return
			}
			require.NoError(t, err)
			assert.NoError(t, response.Body.Close())
		})
	}
}

func newCertificate(t *testing.T) (certificate, key []byte) {
	t.Helper()
	certificate, key, err := cert.GenerateSelfSignedCertKey("example.com", nil, nil)
	require.NoError(t, err)
	return certificate, key
}
