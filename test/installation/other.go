package installation

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/cert"

	"github.com/example/ksmscale/test/cluster"
)

// Names of Other's Service, if it has one. Its certificate also has that name.
const (
	OtherNamespace = "other"
	OtherService   = "metrics"
)

// Other is another server of external metrics: the test adapter of sigs.k8s.io/custom-metrics-apiserver.
type Other struct {
	// URL is where it is reached.
	URL  string
	Port int
	// CA is the file with the CA of its certificate.
	CA string

	key          string
	installation *Installation
}

// NewOther creates a certificate for another server. The caller starts the server.
func (i *Installation) NewOther(ctx context.Context) (*Other, error) {
	port, err := cluster.FreePort(ctx)
	if err != nil {
		return nil, err
	}
	directory, err := os.MkdirTemp(i.cluster.Dir(), "other")
	if err != nil {
		return nil, err
	}
	certificate, key, err := cert.GenerateSelfSignedCertKey("localhost", nil, []string{OtherService + "." + OtherNamespace + ".svc"})
	if err != nil {
		return nil, fmt.Errorf("generate the certificate of another server: %w", err)
	}
	other := &Other{
		URL: "https://" + net.JoinHostPort("localhost", strconv.Itoa(port)), Port: port, installation: i,
		CA: filepath.Join(directory, corev1.TLSCertKey), key: filepath.Join(directory, corev1.TLSPrivateKeyKey),
	}
	return other, errors.Join(os.WriteFile(other.CA, certificate, 0o600), os.WriteFile(other.key, key, 0o600))
}

// Start starts the server under a name that its log gets. It can be started again after it has ended.
func (o *Other) Start(name string) (*Component, error) {
	kubeconfig := o.installation.cluster.Kubeconfig()
	return o.installation.run(name, "test-adapter", &Component{HealthURL: o.URL, MetricsURL: o.URL + "/metrics"},
		"--lister-kubeconfig="+kubeconfig,
		"--authentication-kubeconfig="+kubeconfig,
		"--authorization-kubeconfig="+kubeconfig,
		// A new right applies immediately.
		"--authorization-webhook-cache-unauthorized-ttl=1ms",
		"--bind-address=127.0.0.1",
		"--secure-port="+strconv.Itoa(o.Port),
		"--tls-cert-file="+o.CA,
		"--tls-private-key-file="+o.key)
}
