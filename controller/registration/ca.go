package registration

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"k8s.io/client-go/util/cert"
	apiregistrationv1ac "k8s.io/kube-aggregator/pkg/client/applyconfiguration/apiregistration/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

const (
	caCertificateKey = "ca.crt"

	// caCheckInterval is the time between two checks of the certificates that adapters serve, after a change of the CA. The kubelets deliver
	// the new certificate within a minute or two.
	caCheckInterval = 10 * time.Second
	// maxCAs bounds the trusted CAs if CAs change faster than adapters follow. The oldest CAs are dropped.
	maxCAs = 5
)

// bundle returns the CA bundle of the APIService, given the fields that the controller owns. A CA that someone else added is not trusted.
// While the bundle has several CAs, the result requests another check.
func (r *Reconciler) bundle(ctx context.Context, ca []byte, owned *apiregistrationv1ac.APIServiceApplyConfiguration) ([]byte, ctrl.Result, error) {
	var result ctrl.Result
	current, err := parseCA(ca)
	if err != nil {
		return nil, result, fmt.Errorf("read the CA of the adapter's certificate: %w", err)
	}
	var trusted []*x509.Certificate
	if owned.Spec != nil {
		trusted = parseCAs(owned.Spec.CABundle)
	}
	cas := r.trustedCAs(ctx, current, trusted)
	if len(cas) > 1 {
		result.RequeueAfter = caCheckInterval
	}
	bundle, err := cert.EncodeCertificates(cas...)
	if err != nil {
		return nil, result, fmt.Errorf("write the CAs of the adapter's certificate: %w", err)
	}
	return bundle, result, nil
}

// trustedCAs returns the CAs to trust. These are the current CA and, until all adapters serve a certificate of it, the CAs that are trusted
// now. A new CA becomes trusted without any check, because an adapter may serve its certificate soon.
func (r *Reconciler) trustedCAs(ctx context.Context, current *x509.Certificate, trusted []*x509.Certificate) []*x509.Certificate {
	cas := withPrevious(current, trusted, r.Clock.Now())
	if len(cas) == 1 {
		r.waitsFor = ""
		return cas
	}
	logger := log.FromContext(ctx)
	if !slices.ContainsFunc(trusted, current.Equal) {
		logger.Info("The adapter's certificate has a new CA; the previous CA stays trusted until all adapters serve a certificate of the new CA")
		return cas
	}
	if err := (adapters{service: r.Adapter, reader: r.APIReader, handshake: r.handshake}).serve(ctx, current); err != nil {
		if r.waitsFor != err.Error() {
			r.waitsFor = err.Error()
			logger.Info("A previous CA of the adapter's certificate stays trusted", "reason", r.waitsFor)
		}
		return cas
	}
	logger.Info("All adapters serve a certificate of the new CA; previous CAs are no longer trusted")
	r.waitsFor = ""
	return cas[:1]
}

// withPrevious returns the current CA, followed by the trusted CAs that are still valid.
func withPrevious(current *x509.Certificate, trusted []*x509.Certificate, now time.Time) []*x509.Certificate {
	cas := []*x509.Certificate{current}
	for _, previous := range trusted {
		if len(cas) < maxCAs && now.Before(previous.NotAfter) && !slices.ContainsFunc(cas, previous.Equal) {
			cas = append(cas, previous)
		}
	}
	return cas
}

// parseCA returns the first certificate, which is the CA that the rotator signs with.
func parseCA(pem []byte) (*x509.Certificate, error) {
	cas, err := cert.ParseCertsPEM(pem)
	if err != nil {
		return nil, err
	}
	return cas[0], nil
}

// parseCAs returns the certificates of a CA bundle, or none if the bundle is malformed.
func parseCAs(bundle []byte) []*x509.Certificate {
	cas, err := cert.ParseCertsPEM(bundle)
	if err != nil {
		return nil
	}
	return cas
}
