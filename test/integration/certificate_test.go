package integration

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/metrics/pkg/apis/external_metrics/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/installation"
)

const (
	certificateKey = corev1.TLSCertKey
	caKey          = "ca.crt"
	adapterName    = "ksmscale-adapter.ksmscale-system.svc"
)

// No request for external metrics fails while the adapter's certificate is renewed and its CA changes.
func TestCertificateChangesUnderLoad(t *testing.T) {
	leaveRunning(t)
	t.Cleanup(func() { forgetPreviousCAs(t) })
	setNodes(t, 30)
	ksmScale := create(t, newKSMScale())
	awaitReplicas(t, ksmScale, 1, 1, 1)
	first := certificate(t)
	adapter, err := url.Parse(shared.adapter.HealthURL)
	require.NoError(t, err)
	requests := startLoad(t, metricPath(ksmScale.Spec.Namespace, v1alpha1.MetricNodes, "ksmscale="+ksmScale.Name))
	requests.goesOn(t)

	t.Run("the certificate", func(t *testing.T) {
		renewed := renew(t, certificateKey)
		require.Equal(t, first.Data[caKey], renewed.Data[caKey], "a renewal keeps the CA")
		require.NoError(t, shared.installed.MountCertificate(t.Context()))
		awaitServed(t, adapter.Host, renewed)
		requests.goesOn(t)
		assert.Equal(t, string(renewed.Data[caKey]), string(liveBundle(t)))
	})
	t.Run("the CA", func(t *testing.T) {
		renewed := renew(t, caKey)
		bundle := slices.Concat(renewed.Data[caKey], first.Data[caKey])
		assert.Equal(t, string(bundle), string(liveBundle(t)), "a CA is trusted before the Secret has it")
		requests.goesOn(t)
		require.NoError(t, shared.installed.MountCertificate(t.Context()))
		awaitServed(t, adapter.Host, renewed)
		requests.goesOn(t)
		assert.Equal(t, string(bundle), string(liveBundle(t)), "the Service has no endpoints here, so that nothing tells what adapters serve")
	})
	requests.end(t)
	assert.True(t, shared.adapter.Running())
}

// forgetPreviousCAs makes the controller register the adapter again. Otherwise it would continue to check what adapters
// serve during all following tests, and no adapter answers that check here.
func forgetPreviousCAs(t *testing.T) {
	t.Helper()
	require.NoError(t, shared.client.Delete(afterwards(t), externalMetrics()))
	current := certificate(t)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.Equal(c, string(current.Data[caKey]), string(liveBundle(c)))
	}, eventually, poll)
}

// liveBundle is what the API server verifies the adapter's certificate with.
func liveBundle(t require.TestingT) []byte {
	apiService := externalMetrics()
	require.NoError(t, shared.client.Get(context.Background(), client.ObjectKeyFromObject(apiService), apiService))
	return apiService.Spec.CABundle
}

func certificate(t *testing.T) *corev1.Secret {
	t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: installation.Namespace, Name: "ksmscale-adapter-certificate"}}
	require.NoError(t, shared.client.Get(afterwards(t), client.ObjectKeyFromObject(secret), secret))
	return secret
}

// renew deletes a key of the adapter's certificate. The controller then creates a new certificate, which renew returns.
func renew(t *testing.T, key string) *corev1.Secret {
	t.Helper()
	secret := certificate(t)
	before := secret.Data[key]
	update(t, secret, func(secret *corev1.Secret) { delete(secret.Data, key) })
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.NoError(c, get(t, secret))
		require.NotEmpty(c, secret.Data[key])
	}, eventually, poll)
	require.NotEqual(t, before, secret.Data[key])
	return secret
}

// awaitServed waits until the server at an address has the certificate of a Secret.
func awaitServed(t *testing.T, address string, secret *corev1.Secret) {
	t.Helper()
	block, _ := pem.Decode(secret.Data[certificateKey])
	require.NotNil(t, block)
	began := time.Now()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		served, err := handshake(t.Context(), address, &tls.Config{InsecureSkipVerify: true})
		require.NoError(c, err)
		require.True(c, bytes.Equal(block.Bytes, served.Raw), "another certificate is served")
	}, eventually, poll)
	t.Logf("The adapter served the new certificate after %s", time.Since(began).Round(time.Millisecond))
}

func handshake(ctx context.Context, address string, config *tls.Config) (*x509.Certificate, error) {
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	secured := tls.Client(connection, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return secured.ConnectionState().PeerCertificates[0], nil
}

// load sends requests for a metric without a pause. It also makes handshakes, because open connections would survive a
// certificate that new connections reject.
type load struct {
	stop                 context.CancelFunc
	running              sync.WaitGroup
	requests, handshakes atomic.Int64

	mu       sync.Mutex
	failures []string
}

func startLoad(t *testing.T, path string) *load {
	t.Helper()
	const clients = 4
	ctx, stop := context.WithCancel(t.Context())
	requests := &load{stop: stop}
	config := shared.cluster.Config()
	httpClient, err := rest.HTTPClientFor(config)
	require.NoError(t, err)
	for range clients {
		requests.run(ctx, &requests.requests, func() error { return request(ctx, httpClient, config.Host+path) })
	}
	target, err := url.Parse(shared.adapter.HealthURL)
	require.NoError(t, err)
	requests.run(ctx, &requests.handshakes, func() error { return handshakeAsAPIServer(ctx, target.Host) })
	t.Cleanup(requests.wait)
	return requests
}

func (l *load) run(ctx context.Context, count *atomic.Int64, do func() error) {
	l.running.Go(func() {
		for ctx.Err() == nil {
			err := do()
			if ctx.Err() != nil {
				return // It was cut off.
			}
			count.Add(1)
			if err != nil {
				l.mu.Lock()
				l.failures = append(l.failures, time.Now().Format(time.StampMilli)+" "+err.Error())
				l.mu.Unlock()
			}
		}
	})
}

func request(ctx context.Context, httpClient *http.Client, address string) error {
	getRequest, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	response, err := httpClient.Do(getRequest)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	var list v1beta1.ExternalMetricValueList
	if response.StatusCode != http.StatusOK || json.Unmarshal(body, &list) != nil || len(list.Items) != 1 {
		return fmt.Errorf("%s: %s", response.Status, body)
	}
	return nil
}

// handshakeAsAPIServer opens a connection to the adapter with the CAs that the APIService trusts.
func handshakeAsAPIServer(ctx context.Context, address string) error {
	for {
		apiService := externalMetrics()
		if err := shared.client.Get(ctx, client.ObjectKeyFromObject(apiService), apiService); err != nil {
			return err
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(apiService.Spec.CABundle)
		_, err := handshake(ctx, address, &tls.Config{RootCAs: roots, ServerName: adapterName})
		if err == nil {
			return nil
		}
		// An API server watches the APIService, and so has its CAs sooner than this.
		read := apiService.Spec.CABundle
		if errGet := shared.client.Get(ctx, client.ObjectKeyFromObject(apiService), apiService); errGet != nil || bytes.Equal(read, apiService.Spec.CABundle) {
			return err
		}
	}
}

// goesOn waits until some more requests have been answered.
func (l *load) goesOn(t *testing.T) {
	t.Helper()
	requests, handshakes := l.requests.Load(), l.handshakes.Load()
	require.Eventually(t, func() bool {
		return l.requests.Load() >= requests+500 && l.handshakes.Load() >= handshakes+50
	}, eventually, poll)
}

func (l *load) wait() {
	l.stop()
	l.running.Wait()
}

func (l *load) end(t *testing.T) {
	t.Helper()
	l.wait()
	t.Logf("%d requests and %d handshakes, %d of them failed", l.requests.Load(), l.handshakes.Load(), len(l.failures))
	assert.Empty(t, l.failures)
}
