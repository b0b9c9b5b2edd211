package registration

import (
	"context"
	"fmt"
	"time"

	"github.com/open-policy-agent/cert-controller/pkg/rotator"
	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
)

// CertificateOptions is what the adapter's certificate is like.
type CertificateOptions struct {
	Adapter   v1alpha1.ServiceReference
	Secret    client.ObjectKey
	Directory string
	// Validity and authorityValidity are for how long the certificate and its authority are valid, and renewBefore
	// how long before their end both are renewed.
	Validity, AuthorityValidity, RenewBefore time.Duration
}

// maxCertificateCheck is the longest time between checks of whether the certificate is to be renewed. One also
// follows every change of its Secret.
const maxCertificateCheck = 12 * time.Hour

// CheckEvery leaves ten checks to renew in, should some fail.
func (o CertificateOptions) CheckEvery() time.Duration {
	return min(maxCertificateCheck, o.RenewBefore/10)
}

// addCertificate has the leader make and renew the adapter's certificate and its authority in a Secret, which has
// to exist. A renewal of the certificate keeps the authority; a new authority comes with a new certificate, in one
// write of the Secret, before which it is trusted. The rotator is not told of the APIService: it would write its
// authority into anyone's, and that alone, so that is left to APIServiceReconciler. Nor does it restart anything:
// adapters load the new certificate while they serve.
func addCertificate(manager ctrl.Manager, options CertificateOptions, trust trustBefore) error {
	writer := trustingClient{Client: manager.GetClient(), trust: trust}
	if err := rotator.AddRotator(trustingManager{Manager: manager, client: writer}, &rotator.CertRotator{
		SecretKey:              options.Secret,
		CertDir:                options.Directory,
		CAName:                 "ksmscale-ca",
		CAOrganization:         "ksmscale",
		DNSName:                options.Adapter.DNSName(),
		IsReady:                make(chan struct{}),
		RequireLeaderElection:  true,
		CaCertDuration:         options.AuthorityValidity,
		ServerCertDuration:     options.Validity,
		LookaheadInterval:      options.RenewBefore,
		RotationCheckFrequency: options.CheckEvery(),
	}); err != nil {
		return fmt.Errorf("add the certificate rotator: %w", err)
	}
	return nil
}

// trustingManager gives the rotator a client of its own, which cannot be handed to it otherwise.
type trustingManager struct {
	ctrl.Manager
	client client.Client
}

// GetClient returns the rotator's client.
func (m trustingManager) GetClient() client.Client { return m.client }

// trustBefore has the API server trust the authority of a Secret before that is written. A Secret that has changed
// since it was read is a conflict, and its authority is not trusted.
type trustBefore func(ctx context.Context, secret *corev1.Secret, write func() error) error

// trustingClient has an authority trusted before it writes the Secret with a certificate of it: an adapter may serve
// that at once.
type trustingClient struct {
	client.Client
	trust trustBefore
}

// Update writes a Secret, and only that is ever asked of it. The rotator passes a context without an end.
func (c trustingClient) Update(ctx context.Context, object client.Object, options ...client.UpdateOption) error {
	secret, ok := object.(*corev1.Secret)
	if !ok {
		return fmt.Errorf("the rotator writes %T, and may write its Secret only", object)
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return c.trust(ctx, secret, func() error { return c.Client.Update(ctx, secret, options...) })
}

// writeTimeout bounds a write of the Secret, with the wait until its CA is trusted.
const writeTimeout = time.Minute
