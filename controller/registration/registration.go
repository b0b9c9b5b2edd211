package registration

import (
	"errors"

	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller"

	"github.com/example/ksmscale/api/v1alpha1"
)

// Options configure the registration of external metrics.
type Options struct {
	// ExternalMetrics registers the adapter as the server of external metrics; false if the installation has no adapter.
	ExternalMetrics bool
	// ManageCertificate creates and renews the adapter's certificate; false if something else does.
	ManageCertificate bool
	// Adapter is the Service of the adapter.
	Adapter v1alpha1.ServiceReference
	// Certificate is the certificate of the adapter.
	Certificate CertificateOptions
	// Controller has the options of the controller of the APIService.
	Controller controller.Options
}

// AddToManager configures the manager to register the adapter and to manage its certificate, as the options request. The returned state
// calls notify after each change.
func AddToManager(manager ctrl.Manager, options Options, notify func()) (*State, error) {
	state := NewState(notify)
	if !options.ExternalMetrics {
		state.set(ErrDisabled)
		return state, nil
	}
	apiService := &Reconciler{
		Clock: clock.RealClock{}, Adapter: options.Adapter, Registration: state, handshake: shakeHands,
		Certificate: options.Certificate.Secret, ManagesCertificate: options.ManageCertificate,
	}
	if err := apiService.AddToManager(manager, options.Controller); err != nil {
		return nil, err
	}
	if !options.ManageCertificate {
		return state, nil
	}
	return state, addCertificate(manager, options.Certificate, apiService.trustBefore)
}

// ErrDisabled is the error of a registration without an adapter.
var ErrDisabled = errors.New("this installation has no adapter (--external-metrics=false)")
