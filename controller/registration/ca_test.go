package registration

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/cert"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/example/ksmscale/controller/fixtures"
)

// testCA is a CA. All CAs have the same name and serial number, as those of the rotator have.
type testCA struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

func newCA(t *testing.T, notAfter time.Time) testCA {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(0), Subject: pkix.Name{CommonName: "ksmscale-ca"},
		NotBefore: notAfter.Add(-24 * time.Hour), NotAfter: notAfter,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	signed, key := sign(t, template, testCA{})
	return testCA{Certificate: signed, key: key}
}

// sign signs a certificate, or self-signs it if there is no CA.
func sign(t *testing.T, template *x509.Certificate, by testCA) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	if by.Certificate == nil {
		by = testCA{Certificate: template, key: key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.Certificate, key.Public(), by.key)
	require.NoError(t, err)
	signed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return signed, key
}

// server starts an adapter's server with a certificate of the CA for a name, and returns its port.
func (a testCA) server(t *testing.T, name string) int32 {
	t.Helper()
	signed, key := sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: a.NotBefore, NotAfter: a.NotAfter,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a)
	server := httptest.NewUnstartedServer(nil)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{signed.Raw}, PrivateKey: key}}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return portOf(t, server.Listener)
}

func portOf(t *testing.T, listener net.Listener) int32 {
	t.Helper()
	_, text, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	port, err := strconv.ParseInt(text, 10, 32)
	require.NoError(t, err)
	return int32(port)
}

// bundleOf is a CA bundle.
func bundleOf(t *testing.T, cas ...testCA) []byte {
	t.Helper()
	var certificates []*x509.Certificate
	for _, ca := range cas {
		certificates = append(certificates, ca.Certificate)
	}
	encoded, err := cert.EncodeCertificates(certificates...)
	require.NoError(t, err)
	return encoded
}

func TestWithPrevious(t *testing.T) {
	year := fixtures.Time.Add(365 * 24 * time.Hour)
	a, b, c, d, e, f := newCA(t, year), newCA(t, year), newCA(t, year), newCA(t, year), newCA(t, year), newCA(t, year)
	ended := newCA(t, fixtures.Time)
	for _, test := range []struct {
		name    string
		current testCA
		trusted []byte
		want    []byte
	}{
		{"the first", a, nil, bundleOf(t, a)},
		{"no change", a, bundleOf(t, a), bundleOf(t, a)},
		{"a new one", b, bundleOf(t, a), bundleOf(t, b, a)},
		{"a new one again", c, bundleOf(t, b, a), bundleOf(t, c, b, a)},
		{"the previous one again", a, bundleOf(t, b, a), bundleOf(t, a, b)},
		{"twice", b, bundleOf(t, a, a, b, b), bundleOf(t, b, a)},
		{"one that has ended", b, bundleOf(t, ended, a), bundleOf(t, b, a)},
		{"the current one has ended", ended, bundleOf(t, a), bundleOf(t, ended, a)},
		{"too many", f, bundleOf(t, e, d, c, b, a), bundleOf(t, f, e, d, c, b)},
		{"no certificates", a, []byte("other"), bundleOf(t, a)},
	} {
		t.Run(test.name, func(t *testing.T) {
			encoded, err := cert.EncodeCertificates(withPrevious(test.current.Certificate, parseCAs(test.trusted), fixtures.Time)...)
			require.NoError(t, err)
			assert.Equal(t, string(test.want), string(encoded))
		})
	}
}

func TestParseCA(t *testing.T) {
	a, b := newCA(t, fixtures.Time), newCA(t, fixtures.Time)
	first, err := parseCA(bundleOf(t, a, b))
	require.NoError(t, err)
	assert.True(t, first.Equal(a.Certificate))
	_, err = parseCA([]byte("other"))
	assert.Error(t, err)
}

func endpointSlice(name string, port int32, endpoints ...discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: fixtures.Adapter.Namespace, Name: name,
			Labels: map[string]string{discoveryv1.LabelServiceName: fixtures.Adapter.Name},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   endpoints,
		Ports:       []discoveryv1.EndpointPort{{Port: &port}},
	}
}

func newEndpoint(address string, conditions discoveryv1.EndpointConditions) discoveryv1.Endpoint {
	return discoveryv1.Endpoint{Addresses: []string{address}, Conditions: conditions}
}

func TestServingAddresses(t *testing.T) {
	condition := func(ready, serving *bool) discoveryv1.EndpointConditions {
		return discoveryv1.EndpointConditions{Ready: ready, Serving: serving}
	}
	assert.Empty(t, servingAddresses(nil))
	assert.Empty(t, servingAddresses([]discoveryv1.EndpointSlice{*endpointSlice("none", 6443)}))
	assert.Equal(t, []string{"10.0.0.1:6443", "10.0.0.2:6443", "10.0.0.4:6443", "[fd00::1]:7443"}, servingAddresses([]discoveryv1.EndpointSlice{
		*endpointSlice("a", 6443,
			newEndpoint("10.0.0.4", condition(new(true), new(true))),
			newEndpoint("10.0.0.1", condition(nil, nil)),
			newEndpoint("10.0.0.2", condition(new(false), new(true))), // It is terminating.
			newEndpoint("10.0.0.3", condition(new(false), new(false))),
			newEndpoint("10.0.0.5", condition(new(false), nil)),
			newEndpoint("10.0.0.1", condition(new(true), nil))),
		*endpointSlice("b", 7443, newEndpoint("fd00::1", condition(new(true), nil))),
	}))
}

func TestAdaptersServe(t *testing.T) {
	tomorrow := clock.RealClock{}.Now().Add(12 * time.Hour)
	current, previous := newCA(t, tomorrow), newCA(t, tomorrow)
	ok := current.server(t, fixtures.Adapter.DNSName())
	closed, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	ofAnotherService := endpointSlice("other", previous.server(t, "other"), newEndpoint("127.0.0.1", discoveryv1.EndpointConditions{}))
	ofAnotherService.Labels[discoveryv1.LabelServiceName] = "other"

	for _, test := range []struct {
		name  string
		ports []int32
		err   string
	}{
		{"no adapter", nil, "no endpoints"},
		{"one", []int32{ok}, ""},
		{"two", []int32{ok, current.server(t, fixtures.Adapter.DNSName())}, ""},
		{"one of two has the previous one", []int32{ok, previous.server(t, fixtures.Adapter.DNSName())}, "unknown authority"},
		{"for another name", []int32{current.server(t, "other")}, "not " + fixtures.Adapter.DNSName()},
		{"one of two is not reachable", []int32{portOf(t, closed), ok}, "refused"},
		{"the certificate has ended", []int32{newEnded(t)}, "certificate"},
	} {
		t.Run(test.name, func(t *testing.T) {
			objects := []client.Object{ofAnotherService}
			for i, port := range test.ports {
				objects = append(objects, endpointSlice(strconv.Itoa(i), port, newEndpoint("127.0.0.1", discoveryv1.EndpointConditions{})))
			}
			err := adapters{
				service: fixtures.Adapter, reader: fake.NewClientBuilder().WithObjects(objects...).Build(), handshake: shakeHands,
			}.serve(t.Context(), current.Certificate)
			if test.err == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, test.err)
		})
	}
}

func newEnded(t *testing.T) int32 {
	t.Helper()
	return newCA(t, clock.RealClock{}.Now().Add(-time.Hour)).server(t, fixtures.Adapter.DNSName())
}

func TestHandshakeDoesNotHang(t *testing.T) {
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	assert.ErrorIs(t, shakeHands(ctx, silent.Addr().String(), &tls.Config{MinVersion: tls.VersionTLS12}), context.Canceled)
}
