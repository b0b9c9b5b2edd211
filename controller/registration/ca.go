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

	// authorityCheckInterval is the time between looks at what adapters serve after a change of the authority. It
	// takes the kubelets a minute or two to give them their new certificate.
	authorityCheckInterval = 10 * time.Second
)

const (
	// maxAuthorities bounds what is trusted, should authorities change faster than adapters follow. The oldest go.
	maxAuthorities = 5
)

// bundle has the authorities to trust, given what is ours of the APIService: what someone else has put there is not
// trusted. While there are several, the result is to look again.
func (r *Reconciler) bundle(ctx context.Context, authority []byte, owned *apiregistrationv1ac.APIServiceApplyConfiguration) ([]byte, ctrl.Result, error) {
	var result ctrl.Result
	current, err := parseAuthority(authority)
	if err != nil {
		return nil, result, fmt.Errorf("read the authority of the adapter's certificate: %w", err)
	}
	var trusted []*x509.Certificate
	if owned.Spec != nil {
		trusted = parseAuthorities(owned.Spec.CABundle)
	}
	authorities := r.authorities(ctx, current, trusted)
	if len(authorities) > 1 {
		result.RequeueAfter = authorityCheckInterval
	}
	bundle, err := cert.EncodeCertificates(authorities...)
	if err != nil {
		return nil, result, fmt.Errorf("write the authorities of the adapter's certificate: %w", err)
	}
	return bundle, result, nil
}

// authorities are those to trust: the current one and, until all adapters have certificates of that, those trusted
// so far. A new one is trusted before anything else is looked at, as an adapter may serve its certificate soon.
func (r *Reconciler) authorities(ctx context.Context, current *x509.Certificate, trusted []*x509.Certificate) []*x509.Certificate {
	authorities := withPrevious(current, trusted, r.Clock.Now())
	if len(authorities) == 1 {
		r.waitsFor = ""
		return authorities
	}
	log := log.FromContext(ctx)
	if !slices.ContainsFunc(trusted, current.Equal) {
		log.Info("The adapter's certificate has a new authority; the previous one is trusted as well until all adapters have a certificate of the new one")
		return authorities
	}
	if err := (adapters{service: r.Adapter, reader: r.APIReader, handshake: r.handshake}).serve(ctx, current); err != nil {
		if r.waitsFor != err.Error() {
			r.waitsFor = err.Error()
			log.Info("A previous authority of the adapter's certificate is trusted still", "reason", r.waitsFor)
		}
		return authorities
	}
	log.Info("All adapters have a certificate of the new authority; previous ones are trusted no longer")
	r.waitsFor = ""
	return authorities[:1]
}

// withPrevious is the current authority, and then those trusted so far that are valid still.
func withPrevious(current *x509.Certificate, trusted []*x509.Certificate, now time.Time) []*x509.Certificate {
	authorities := []*x509.Certificate{current}
	for _, previous := range trusted {
		if len(authorities) < maxAuthorities && now.Before(previous.NotAfter) && !slices.ContainsFunc(authorities, previous.Equal) {
			authorities = append(authorities, previous)
		}
	}
	return authorities
}

// parseAuthority returns the first certificate, which is that of the authority that the rotator signs with.
func parseAuthority(pem []byte) (*x509.Certificate, error) {
	authorities, err := cert.ParseCertsPEM(pem)
	if err != nil {
		return nil, err
	}
	return authorities[0], nil
}

// parseAuthorities returns the certificates of a CA bundle, and none of one that is not well-formed.
func parseAuthorities(bundle []byte) []*x509.Certificate {
	authorities, err := cert.ParseCertsPEM(bundle)
	if err != nil {
		return nil
	}
	return authorities
}
