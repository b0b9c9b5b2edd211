package adapter

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"
	clocktesting "k8s.io/utils/clock/testing"
)

func TestDelegatesCertificateIsVerified(t *testing.T) {
	handler := answer(http.StatusOK, "application/json", values)
	other, _, err := cert.GenerateSelfSignedCertKey("localhost", nil, nil)
	require.NoError(t, err)
	for _, test := range []struct {
		name     string
		override func(*rest.Config, *DelegateOptions)
		message  string
	}{
		{name: "the name that it is reached by"},
		{name: "another name of the certificate", override: func(_ *rest.Config, o *DelegateOptions) { o.ServerName = "example.com" }},
		{name: "a name that it has not", override: func(_ *rest.Config, o *DelegateOptions) { o.ServerName = "keda.keda.svc" }, message: "not keda.keda.svc"},
		{name: "another authority", override: func(_ *rest.Config, o *DelegateOptions) {
			require.NoError(t, os.WriteFile(o.CAFile, other, 0o600))
		}, message: "unknown authority"},
		{name: "whatever is trusted at the API server", override: func(adapterConfig *rest.Config, o *DelegateOptions) {
			adapterConfig.TLSClientConfig = rest.TLSClientConfig{Insecure: true, ServerName: "example.com"}
			require.NoError(t, os.WriteFile(o.CAFile, other, 0o600))
		}, message: "unknown authority"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.override == nil {
				test.override = func(*rest.Config, *DelegateOptions) {}
			}
			d := newTestDelegate(t, handler, test.override)
			_, err := d.ask(t.Context(), t, "")
			if test.message == "" {
				require.NoError(t, err)
				return
			}
			status := statusOf(t, err)
			assert.EqualValues(t, http.StatusServiceUnavailable, status.Code)
			assert.Contains(t, status.Message, test.message)
			assert.Zero(t, d.requestCount.Load(), "no token gets there")
		})
	}
}

// The server gets a certificate of another CA, and the CA file changes later.
func TestAuthoritiesAreReadAgain(t *testing.T) {
	server := httptest.NewUnstartedServer(answer(http.StatusOK, "application/json", values))
	var current tls.Certificate
	server.TLS = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &current, nil }}
	next := func() (authority []byte) {
		authority, key, err := cert.GenerateSelfSignedCertKey("localhost", nil, nil)
		require.NoError(t, err)
		current, err = tls.X509KeyPair(authority, key)
		require.NoError(t, err)
		// Connections keep the certificate of their handshake.
		server.CloseClientConnections()
		return authority
	}
	first := next()
	server.StartTLS()
	t.Cleanup(server.Close)
	options := &DelegateOptions{Address: server.URL, ServerName: "localhost", CAFile: filepath.Join(t.TempDir(), "ca.crt")}
	require.NoError(t, os.WriteFile(options.CAFile, first, 0o600))
	created, err := NewDelegate(&rest.Config{}, options, clocktesting.NewFakePassiveClock(time.Time{}))
	require.NoError(t, err)
	d := &testDelegate{Delegate: created}
	_, err = d.ask(t.Context(), t, "")
	require.NoError(t, err)

	second := next()
	_, err = d.ask(t.Context(), t, "")
	assert.ErrorContains(t, err, "unknown authority")

	require.NoError(t, os.WriteFile(options.CAFile, []byte("garbage"), 0o600))
	require.Error(t, d.client.ca.RunOnce(t.Context()))
	_, err = d.ask(t.Context(), t, "")
	assert.ErrorContains(t, err, "unknown authority", "the client keeps the previous CAs")

	require.NoError(t, os.WriteFile(options.CAFile, second, 0o600))
	require.NoError(t, d.client.ca.RunOnce(t.Context()))
	_, err = d.ask(t.Context(), t, "")
	assert.NoError(t, err)
}

func TestDelegateWithoutAuthorities(t *testing.T) {
	options := &DelegateOptions{Address: "keda/metrics:443", CAFile: filepath.Join(t.TempDir(), "missing")}
	_, err := NewDelegate(&rest.Config{}, options, clocktesting.NewFakePassiveClock(time.Time{}))
	assert.ErrorContains(t, err, "--delegate-ca-file")
	assert.ErrorContains(t, err, options.CAFile)
}
