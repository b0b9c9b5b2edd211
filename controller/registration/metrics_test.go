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
	server, authority := newAuthority(t, end), newAuthority(t, end.Add(time.Hour))
	key := client.ObjectKey{Namespace: "ksmscale-system", Name: "certificate"}
	with := func(data map[string][]byte) CertificateCollector {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}, Data: data}
		return CertificateCollector{
			Secrets: fake.NewClientBuilder().WithObjects(secret).Build(), Synced: func() bool { return true },
			Certificate: CertificateOptions{Secret: key, RenewBefore: 1000 * time.Second},
		}
	}
	made := with(map[string][]byte{corev1.TLSCertKey: bundle(t, server), caCertificateKey: bundle(t, authority)})

	assert.NoError(t, testutil.CollectAndCompare(made, strings.NewReader(`
# HELP ksmscale_certificate_expiration_timestamp_seconds Unix time of the end of the adapter's certificate (server), and of its authority's (authority).
# TYPE ksmscale_certificate_expiration_timestamp_seconds gauge
ksmscale_certificate_expiration_timestamp_seconds{certificate="authority"} 2.0000036e+09
ksmscale_certificate_expiration_timestamp_seconds{certificate="server"} 2e+09
# HELP ksmscale_certificate_renewal_timestamp_seconds Unix time from which on the adapter's certificate (server), or its authority's (authority), is to be renewed.
# TYPE ksmscale_certificate_renewal_timestamp_seconds gauge
ksmscale_certificate_renewal_timestamp_seconds{certificate="authority"} 2.0000026e+09
ksmscale_certificate_renewal_timestamp_seconds{certificate="server"} 1.999999e+09
`)))

	assert.Zero(t, testutil.CollectAndCount(with(nil)), "none has been made yet")
	assert.Zero(t, testutil.CollectAndCount(with(map[string][]byte{corev1.TLSCertKey: []byte("?")})), "no certificate")
	made.Certificate.Secret.Name = "other"
	assert.Zero(t, testutil.CollectAndCount(made), "no Secret")
	made.Synced = func() bool { return false }
	assert.Zero(t, testutil.CollectAndCount(made), "the cache has not been started")
	made.Synced, made.Secrets = func() bool { return true }, failingReader{Reader: made.Secrets}
	assert.ErrorContains(t, testutil.CollectAndCompare(made, strings.NewReader("")), "no right")
}

type failingReader struct{ client.Reader }

// Get fails.
func (failingReader) Get(_ context.Context, _ client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
	return errors.New("no right")
}
