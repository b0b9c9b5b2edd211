package controller

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/client-go/util/cert"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	apiregistrationv1ac "k8s.io/kube-aggregator/pkg/client/applyconfiguration/apiregistration/v1"
	"k8s.io/metrics/pkg/apis/external_metrics/v1beta1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

const (
	// AdapterClusterRole is the adapter's cluster role, which the APIService is deleted with. An uninstall
	// deletes it, whatever tool does it. The namespace would not do: its own deletion waits until no APIService
	// is without its server.
	AdapterClusterRole = "ksmscale-adapter"

	apiServicePriority = 100
	caCertificateKey   = "ca.crt"

	// authorityCheckInterval is the time between looks at what adapters serve after a change of the authority. It
	// takes the kubelets a minute or two to give them their new certificate.
	authorityCheckInterval = 10 * time.Second
)

var errStaleSecret = errors.New("the Secret has changed since")

// APIServiceName is the name of the one APIService of external metrics in a cluster.
var APIServiceName = v1beta1.SchemeGroupVersion.Version + "." + v1beta1.SchemeGroupVersion.Group

// ServiceReference names a port of a Service.
type ServiceReference struct {
	Namespace string
	Name      string
	Port      int32
}

// DNSName is the name that the API server expects in the Service's certificate.
func (s ServiceReference) DNSName() string { return s.Name + "." + s.Namespace + ".svc" }

// serves tells whether an APIService is served by this Service.
func (s ServiceReference) serves(apiService *apiregistrationv1.APIService) bool {
	by := apiService.Spec.Service
	return by != nil && by.Namespace == s.Namespace && by.Name == s.Name
}

// APIServiceReconciler registers the adapter as the server of external metrics, unless another one is.
type APIServiceReconciler struct {
	// Client reads from a cache that has what the controller itself has written.
	Client client.Client
	// APIReader reads from the API server.
	APIReader client.Reader
	// Clock tells which certificates are valid still.
	Clock clock.PassiveClock
	// Adapter is where the adapter is served.
	Adapter ServiceReference
	// Registration is told how it goes.
	Registration *Registration
	// Certificate is the Secret with the certificate that the adapter serves, and its authority's.
	Certificate client.ObjectKey

	handshake handshake
	// mu is held while the APIService follows the Secret, or goes ahead of it.
	mu sync.Mutex
	// waitsFor is why previous authorities are trusted still, as it was logged last.
	waitsFor string
	// outcome is what the API server made of the last APIService that was applied.
	outcome outcome
}

// letGoError reports that an APIService which another adapter has taken is still deleted with our installation.
type letGoError struct{ err error }

func (e letGoError) Error() string {
	return fmt.Sprintf("let APIService %s go: %v", APIServiceName, e.err)
}

func (e letGoError) Unwrap() error { return e.err }

// Reconcile makes the APIService as it is wanted, and leaves one that is not ours alone. It does nothing until
// there is a certificate.
func (r *APIServiceReconciler) Reconcile(ctx context.Context, _ ctrl.Request) (ctrl.Result, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	result, err := r.register(ctx)
	r.Registration.set(err)
	return result, err
}

func (r *APIServiceReconciler) register(ctx context.Context) (ctrl.Result, error) {
	var certificate corev1.Secret
	if err := r.Client.Get(ctx, r.Certificate, &certificate); err != nil {
		return ctrl.Result{}, fmt.Errorf("get the Secret of the adapter's certificate: %w", err)
	}
	authority := certificate.Data[caCertificateKey]
	if len(authority) == 0 {
		log.FromContext(ctx).V(1).Info("The adapter has no certificate yet")
		return ctrl.Result{}, nil
	}
	live, err := r.live(ctx)
	if err != nil {
		return ctrl.Result{}, err
	}
	if live != nil && !r.Adapter.serves(live) {
		return ctrl.Result{}, r.letGo(ctx, live)
	}
	return r.apply(ctx, authority, live)
}

// letGo takes what is ours from an APIService that someone else has made theirs by changing the one that we made: else
// it would be deleted with our installation, and trust our authority. Where the admission plugin
// OwnerReferencesPermissionEnforcement is on, this takes the right to delete it.
func (r *APIServiceReconciler) letGo(ctx context.Context, live *apiregistrationv1.APIService) error {
	owned, err := apiregistrationv1ac.ExtractAPIService(live, FieldOwner)
	if err != nil {
		return fmt.Errorf("read the managed fields of APIService %s: %w", APIServiceName, err)
	}
	if owned.OwnerReferences == nil && owned.Labels == nil {
		return nil
	}
	// Our share of the specification is needed still, if they have left it as it was.
	left := apiregistrationv1ac.APIService(APIServiceName).WithSpec(owned.Spec)
	if left.Spec != nil {
		left.Spec.CABundle = nil
	}
	left.WithResourceVersion(live.ResourceVersion)
	if err := r.Client.Apply(ctx, left, client.FieldOwner(FieldOwner), client.DisableReadYourWritesConsistency); err != nil {
		return letGoError{err}
	}
	return nil
}

// trustBefore has our APIService, if there is one, trust the authority of a Secret before that is written. Meanwhile no
// one takes the trust back because the Secret does not have the authority yet.
func (r *APIServiceReconciler) trustBefore(ctx context.Context, secret *corev1.Secret, write func() error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	// The rotator runs twice, at its start and for each change of the Secret, and makes another authority after each
	// conflict: those that are given up at once are not trusted.
	var current corev1.Secret
	if err := r.APIReader.Get(ctx, client.ObjectKeyFromObject(secret), &current); err != nil {
		return fmt.Errorf("get the Secret to write: %w", err)
	}
	if current.ResourceVersion != secret.ResourceVersion {
		return apierrors.NewConflict(corev1.Resource("secrets"), secret.Name, errStaleSecret)
	}
	live, err := r.live(ctx)
	if err != nil {
		return err
	}
	if live != nil && r.Adapter.serves(live) {
		if _, err := r.apply(ctx, secret.Data[caCertificateKey], live); err != nil {
			return fmt.Errorf("trust a new authority: %w", err)
		}
	}
	return write()
}

// live is the APIService, or nil if there is none.
//
// A cache of just this object may never see what was written, if it is deleted at once, so that a read of our own
// write would wait in vain. This is read so rarely that a request costs little.
func (r *APIServiceReconciler) live(ctx context.Context) (*apiregistrationv1.APIService, error) {
	var live apiregistrationv1.APIService
	err := r.APIReader.Get(ctx, client.ObjectKey{Name: APIServiceName}, &live)
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // There being none is no error here.
	}
	if err != nil {
		return nil, fmt.Errorf("get APIService %s: %w", APIServiceName, err)
	}
	return &live, nil
}

func (r *APIServiceReconciler) apply(ctx context.Context, authority []byte, live *apiregistrationv1.APIService) (ctrl.Result, error) {
	var role rbacv1.ClusterRole
	if err := r.APIReader.Get(ctx, client.ObjectKey{Name: AdapterClusterRole}, &role); err != nil {
		return ctrl.Result{}, fmt.Errorf("get ClusterRole %s: %w", AdapterClusterRole, err)
	}
	owned, err := ownedOf(live)
	if err != nil {
		return ctrl.Result{}, err
	}
	bundle, result, err := r.bundle(ctx, authority, owned)
	if err != nil {
		return ctrl.Result{}, err
	}
	wanted := apiService(r.Adapter, bundle, &role)
	applied := digest(wanted)
	if equality.Semantic.DeepEqual(owned, wanted) || r.outcome == (outcome{applied: applied, kept: digest(owned)}) {
		return result, nil
	}
	options := []client.ApplyOption{client.FieldOwner(FieldOwner), client.DisableReadYourWritesConsistency}
	if live != nil {
		// One that someone else has changed since is a conflict, and looked at again.
		wanted.WithResourceVersion(live.ResourceVersion)
		options = append(options, client.ForceOwnership)
	}
	// Without force, one that someone else creates at this moment is a conflict, and not taken over.
	if err := r.Client.Apply(ctx, wanted, options...); err != nil {
		if live == nil && apierrors.IsConflict(err) {
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, fmt.Errorf("apply APIService %s: %w", APIServiceName, err)
	}
	return result, r.remember(ctx, applied, versionOf(wanted))
}

// remember keeps the outcome of a configuration that was applied, unless someone else has changed the APIService since.
func (r *APIServiceReconciler) remember(ctx context.Context, applied [sha256.Size]byte, version string) error {
	after, err := r.live(ctx)
	if err != nil || after == nil || after.ResourceVersion != version {
		return err
	}
	owned, err := ownedOf(after)
	if err == nil {
		r.outcome = outcome{applied: applied, kept: digest(owned)}
	}
	return err
}

// ownedOf has the fields of an APIService that the controller has applied; none, if there is no APIService.
func ownedOf(live *apiregistrationv1.APIService) (*apiregistrationv1ac.APIServiceApplyConfiguration, error) {
	if live == nil {
		return &apiregistrationv1ac.APIServiceApplyConfiguration{}, nil
	}
	owned, err := apiregistrationv1ac.ExtractAPIService(live, FieldOwner)
	if err != nil {
		return nil, fmt.Errorf("read the managed fields of APIService %s: %w", APIServiceName, err)
	}
	return owned, nil
}

// bundle has the authorities to trust, given what is ours of the APIService: what someone else has put there is not
// trusted. While there are several, the result is to look again.
func (r *APIServiceReconciler) bundle(ctx context.Context, authority []byte, owned *apiregistrationv1ac.APIServiceApplyConfiguration) ([]byte, ctrl.Result, error) {
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
func (r *APIServiceReconciler) authorities(ctx context.Context, current *x509.Certificate, trusted []*x509.Certificate) []*x509.Certificate {
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

// apiService is the wanted APIService: external metrics are served by the adapter, whose certificate an
// authority of the bundle has signed.
func apiService(adapter ServiceReference, bundle []byte, owner *rbacv1.ClusterRole) *apiregistrationv1ac.APIServiceApplyConfiguration {
	return apiregistrationv1ac.APIService(APIServiceName).
		WithLabels(map[string]string{"app.kubernetes.io/name": "ksmscale", "app.kubernetes.io/component": "adapter"}).
		WithOwnerReferences(metav1ac.OwnerReference().
			WithAPIVersion(rbacv1.SchemeGroupVersion.String()).WithKind("ClusterRole").
			WithName(owner.Name).WithUID(owner.UID)).
		WithSpec(apiregistrationv1ac.APIServiceSpec().
			WithGroup(v1beta1.SchemeGroupVersion.Group).
			WithVersion(v1beta1.SchemeGroupVersion.Version).
			WithGroupPriorityMinimum(apiServicePriority).
			WithVersionPriority(apiServicePriority).
			WithCABundle(bundle...).
			WithService(apiregistrationv1ac.ServiceReference().
				WithNamespace(adapter.Namespace).WithName(adapter.Name).WithPort(adapter.Port)))
}
