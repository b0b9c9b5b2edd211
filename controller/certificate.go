package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/open-policy-agent/cert-controller/pkg/rotator"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// maxCertificateCheck is the longest time between checks of whether the certificate is to be renewed. One also
// follows every change of its Secret.
const maxCertificateCheck = 12 * time.Hour

var errStaleSecret = errors.New("the Secret has changed since")

// certificateOptions is what the adapter's certificate is like.
type certificateOptions struct {
	adapter   ServiceReference
	secret    client.ObjectKey
	directory string
	// validity and authorityValidity are for how long the certificate and its authority are valid, and renewBefore
	// how long before their end both are renewed.
	validity, authorityValidity, renewBefore time.Duration
}

// checkEvery leaves ten checks to renew in, should some fail.
func (o certificateOptions) checkEvery() time.Duration {
	return min(maxCertificateCheck, o.renewBefore/10)
}

// addCertificate has the leader make and renew the adapter's certificate and its authority in a Secret, which has
// to exist. A renewal of the certificate keeps the authority; a new authority comes with a new certificate, in one
// write of the Secret, before which it is trusted. The rotator is not told of the APIService: it would write its
// authority into anyone's, and that alone, so that is left to APIServiceReconciler. Nor does it restart anything:
// adapters load the new certificate while they serve.
func addCertificate(manager ctrl.Manager, options certificateOptions, trust trustBefore) error {
	writer := trustingClient{Client: manager.GetClient(), reader: manager.GetAPIReader(), trust: trust}
	if err := rotator.AddRotator(trustingManager{Manager: manager, client: writer}, &rotator.CertRotator{
		SecretKey:              options.secret,
		CertDir:                options.directory,
		CAName:                 "ksmscale-ca",
		CAOrganization:         "ksmscale",
		DNSName:                options.adapter.DNSName(),
		IsReady:                make(chan struct{}),
		RequireLeaderElection:  true,
		CaCertDuration:         options.authorityValidity,
		ServerCertDuration:     options.validity,
		LookaheadInterval:      options.renewBefore,
		RotationCheckFrequency: options.checkEvery(),
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

// trustBefore has the API server trust an authority before something is written.
type trustBefore func(ctx context.Context, authority []byte, write func() error) error

// trustingClient has an authority trusted before it writes the Secret with a certificate of it: an adapter may serve
// that at once.
type trustingClient struct {
	client.Client
	reader client.Reader
	trust  trustBefore
}

// Update writes a Secret, and only that is ever asked of it. The rotator passes a context without an end.
func (c trustingClient) Update(ctx context.Context, object client.Object, options ...client.UpdateOption) error {
	secret, ok := object.(*corev1.Secret)
	if !ok {
		return fmt.Errorf("the rotator writes %T, and may write its Secret only", object)
	}
	ctx, cancel := context.WithTimeout(ctx, reconcileTimeout)
	defer cancel()
	var live corev1.Secret
	if err := c.reader.Get(ctx, client.ObjectKeyFromObject(secret), &live); err != nil {
		return fmt.Errorf("get the Secret to write: %w", err)
	}
	// The rotator makes another authority after each conflict: trusted are only those that are not given up at once.
	if live.ResourceVersion != secret.ResourceVersion {
		return apierrors.NewConflict(corev1.Resource("secrets"), secret.Name, errStaleSecret)
	}
	return c.trust(ctx, secret.Data[caCertificateKey], func() error { return c.Client.Update(ctx, secret, options...) })
}
