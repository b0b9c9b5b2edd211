package controller

import (
	"fmt"

	"github.com/open-policy-agent/cert-controller/pkg/rotator"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// addCertificate has the leader make and renew the adapter's certificate and its authority in a Secret, which has
// to exist. The rotator is not told of the APIService: it would write its authority into anyone's, so that is left
// to APIServiceReconciler.
func addCertificate(manager ctrl.Manager, adapter ServiceReference, secret client.ObjectKey, directory string) error {
	if err := rotator.AddRotator(manager, &rotator.CertRotator{
		SecretKey:             secret,
		CertDir:               directory,
		CAName:                "ksmscale-ca",
		CAOrganization:        "ksmscale",
		DNSName:               adapter.DNSName(),
		IsReady:               make(chan struct{}),
		RequireLeaderElection: true,
	}); err != nil {
		return fmt.Errorf("add the certificate rotator: %w", err)
	}
	return nil
}
