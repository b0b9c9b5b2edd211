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

// CertificateOptions configures the adapter's certificate.
type CertificateOptions struct {
	// Adapter is the Service of the adapter.
	Adapter v1alpha1.ServiceReference
	// Secret has the certificate, and Directory is where the controller mounts the Secret.
	Secret    client.ObjectKey
	Directory string
	// Validity and CAValidity are how long the certificate and its CA are valid. RenewBefore is how long before their end both are renewed.
	Validity, CAValidity, RenewBefore time.Duration
}

// maxCertificateCheck is the longest time between two checks whether to renew the certificate. A change of the Secret also starts a check.
const maxCertificateCheck = 12 * time.Hour

// CheckEvery returns the time between two checks. At least ten checks fit before the certificate ends, because some may fail.
func (o CertificateOptions) CheckEvery() time.Duration {
	return min(maxCertificateCheck, o.RenewBefore/10)
}

// addCertificate configures the leader to create and renew the adapter's certificate and its CA in an existing Secret. A renewed certificate
// keeps the CA. A new CA comes with a new certificate in the same write of the Secret, and is trusted before that write. The rotator does
// not manage the APIService, because it would write its CA into any APIService and drop previous CAs. Reconciler does that instead. The
// rotator restarts no process, because adapters load a new certificate while they serve.
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
		CaCertDuration:         options.CAValidity,
		ServerCertDuration:     options.Validity,
		LookaheadInterval:      options.RenewBefore,
		RotationCheckFrequency: options.CheckEvery(),
	}); err != nil {
		return fmt.Errorf("add the certificate rotator: %w", err)
	}
	return nil
}

// trustingManager replaces the client of a manager, because the rotator takes its client from the manager.
type trustingManager struct {
	ctrl.Manager
	client client.Client
}

// GetClient returns the rotator's client.
func (m trustingManager) GetClient() client.Client { return m.client }

// trustBefore makes the API server trust the CA of a Secret, and then writes the Secret. If the Secret has changed since it was read, it
// returns a conflict and does not trust the CA.
type trustBefore func(ctx context.Context, secret *corev1.Secret, write func() error) error

// trustingClient makes a CA trusted before it writes the Secret, because an adapter may serve the new certificate at once.
type trustingClient struct {
	client.Client
	trust trustBefore
}

// Update writes the Secret, which is the only object that the rotator updates. It adds a timeout, because the context of the rotator has
// none.
func (c trustingClient) Update(ctx context.Context, object client.Object, options ...client.UpdateOption) error {
	secret, ok := object.(*corev1.Secret)
	if !ok {
		return fmt.Errorf("the rotator writes a %T, but may write only its Secret", object)
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return c.trust(ctx, secret, func() error { return c.Client.Update(ctx, secret, options...) })
}

// writeTimeout bounds a write of the Secret, which includes the wait until its CA is trusted.
const writeTimeout = time.Minute
