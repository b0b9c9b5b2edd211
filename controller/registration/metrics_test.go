package registration

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

func TestCertificateCollector(t *testing.T) {
	end := time.Unix(2_000_000_000, 0)
	server, ca := newCA(t, end), newCA(t, end.Add(time.Hour))
	key := client.ObjectKey{Namespace: "ksmscale-system", Name: "certificate"}
	with := func(data map[string][]byte) CertificateCollector {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}, Data: data}
		return CertificateCollector{
			Secrets: fake.NewClientBuilder().WithObjects(secret).Build(), Synced: func() bool { return true },
			Certificate: CertificateOptions{Secret: key, RenewBefore: 1000 * time.Second},
		}
	}
	secret := with(map[string][]byte{corev1.TLSCertKey: bundleOf(t, server), caCertificateKey: bundleOf(t, ca)})

	assert.NoError(t, testutil.CollectAndCompare(secret, strings.NewReader(`
# HELP ksmscale_certificate_expiration_timestamp_seconds Unix time at which the adapter's certificate (server) or its CA (authority) expires.
# TYPE ksmscale_certificate_expiration_timestamp_seconds gauge
ksmscale_certificate_expiration_timestamp_seconds{certificate="authority"} 2.0000036e+09
ksmscale_certificate_expiration_timestamp_seconds{certificate="server"} 2e+09
# HELP ksmscale_certificate_renewal_timestamp_seconds Unix time from which the adapter's certificate (server) or its CA (authority) should be renewed.
# TYPE ksmscale_certificate_renewal_timestamp_seconds gauge
ksmscale_certificate_renewal_timestamp_seconds{certificate="authority"} 2.0000026e+09
ksmscale_certificate_renewal_timestamp_seconds{certificate="server"} 1.999999e+09
`)))

	assert.Zero(t, testutil.CollectAndCount(with(nil)), "none has been secret yet")
	assert.Zero(t, testutil.CollectAndCount(with(map[string][]byte{corev1.TLSCertKey: []byte("?")})), "no certificate")
	secret.Certificate.Secret.Name = "other"
	assert.Zero(t, testutil.CollectAndCount(secret), "no Secret")
	secret.Synced = func() bool { return false }
	assert.Zero(t, testutil.CollectAndCount(secret), "the cache has not been started")
	secret.Synced, secret.Secrets = func() bool { return true }, failingReader{Reader: secret.Secrets}
	assert.ErrorContains(t, testutil.CollectAndCompare(secret, strings.NewReader("")), "no right")
}

type failingReader struct{ client.Reader }

// Get fails.
func (failingReader) Get(_ context.Context, _ client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
	return errors.New("no right")
}
