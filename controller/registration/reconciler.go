package registration

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	apiregistrationv1ac "k8s.io/kube-aggregator/pkg/client/applyconfiguration/apiregistration/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objects"
)

// Reconciler registers the adapter as the server of external metrics, unless another server is registered.
type Reconciler struct {
	// Client reads from a cache that already has the writes of the controller.
	Client client.Client
	// APIReader reads from the API server.
	APIReader client.Reader
	// Clock decides which certificates are still valid.
	Clock clock.PassiveClock
	// Adapter is the Service of the adapter.
	Adapter v1alpha1.ServiceReference
	// Registration receives the error of each reconcile.
	Registration *State
	// Certificate is the Secret with the certificate of the adapter and its CA.
	Certificate client.ObjectKey
	// ManagesCertificate is whether the controller creates the certificate; false if something else does.
	ManagesCertificate bool

	handshake handshake
	// mu serializes Reconcile and trustBefore, so a reconcile does not remove a CA whose Secret is about to be written.
	mu sync.Mutex
	// waitsFor is the last logged reason why previous CAs stay trusted.
	waitsFor string
	// outcome is the outcome of the last apply of the APIService.
	outcome objects.Outcome
}

// AddToManager fills in the fields that are not set, and configures the manager to call Reconcile when the APIService or the
// certificate changes.
func (r *Reconciler) AddToManager(manager ctrl.Manager, options controller.Options) error {
	if r.Client == nil {
		r.Client = manager.GetClient()
	}
	if r.APIReader == nil {
		r.APIReader = manager.GetAPIReader()
	}
	always := func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: client.ObjectKey{Name: v1alpha1.APIServiceName}}}
	}
	isCertificate := predicate.NewPredicateFuncs(func(object client.Object) bool {
		return client.ObjectKeyFromObject(object) == r.Certificate
	})
	return ctrl.NewControllerManagedBy(manager).
		Named("apiservice").
		For(&apiregistrationv1.APIService{}).
		Watches(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(always), builder.WithPredicates(isCertificate)).
		WithOptions(options).
		Complete(r)
}

// Reconcile applies the desired APIService. It never changes an APIService of another server, and waits until a certificate exists.
func (r *Reconciler) Reconcile(ctx context.Context, _ ctrl.Request) (ctrl.Result, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	result, err := r.register(ctx)
	r.Registration.set(err)
	return result, err
}

// register applies the APIService, or releases it if another adapter has taken it.
func (r *Reconciler) register(ctx context.Context) (ctrl.Result, error) {
	var certificate corev1.Secret
	if err := r.Client.Get(ctx, r.Certificate, &certificate); err != nil {
		return ctrl.Result{}, fmt.Errorf("get the Secret of the adapter's certificate: %w", err)
	}
	ca := certificate.Data[caCertificateKey]
	if len(ca) == 0 && !r.ManagesCertificate {
		return ctrl.Result{}, fmt.Errorf("the Secret %s has no CA in key %s: configure the issuer of the adapter's certificate to write its CA to this key, or set --manage-certificate=true",
			r.Certificate, caCertificateKey)
	}
	if len(ca) == 0 {
		log.FromContext(ctx).V(1).Info("The adapter has no certificate yet")
		return ctrl.Result{}, nil
	}
	live, err := r.live(ctx)
	if err != nil {
		return ctrl.Result{}, err
	}
	if live != nil && !objects.IsServedBy(live, r.Adapter) {
		return ctrl.Result{}, r.release(ctx, live)
	}
	return r.apply(ctx, ca, live)
}

// apply applies the desired APIService unless an apply would change nothing.
func (r *Reconciler) apply(ctx context.Context, ca []byte, live *apiregistrationv1.APIService) (ctrl.Result, error) {
	var role rbacv1.ClusterRole
	if err := r.APIReader.Get(ctx, client.ObjectKey{Name: objects.AdapterClusterRole}, &role); err != nil {
		return ctrl.Result{}, fmt.Errorf("get ClusterRole %s: %w", objects.AdapterClusterRole, err)
	}
	owned, err := ownedOf(live)
	if err != nil {
		return ctrl.Result{}, err
	}
	bundle, result, err := r.bundle(ctx, ca, owned)
	if err != nil {
		return ctrl.Result{}, err
	}
	desired := objects.APIService(r.Adapter, bundle, &role)
	applied := objects.Digest(desired)
	if equality.Semantic.DeepEqual(owned, desired) || r.outcome == (objects.Outcome{Applied: applied, Kept: objects.Digest(owned)}) {
		return result, nil
	}
	options := []client.ApplyOption{client.FieldOwner(objects.FieldOwner), client.DisableReadYourWritesConsistency}
	if live != nil {
		// If someone else has changed the APIService since, this is a conflict and the next reconcile decides again.
		desired.WithResourceVersion(live.ResourceVersion)
		options = append(options, client.ForceOwnership)
	}
	// Without force, an APIService that someone else has just created is a conflict. The controller does not take it over.
	if err := r.Client.Apply(ctx, desired, options...); err != nil {
		if live == nil && apierrors.IsConflict(err) {
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, fmt.Errorf("apply APIService %s: %w", v1alpha1.APIServiceName, err)
	}
	return result, r.remember(ctx, applied, objects.ResourceVersionOf(desired))
}

// remember stores the outcome of an apply, unless someone else has changed the APIService since.
func (r *Reconciler) remember(ctx context.Context, applied [sha256.Size]byte, version string) error {
	after, err := r.live(ctx)
	if err != nil || after == nil || after.ResourceVersion != version {
		return err
	}
	owned, err := ownedOf(after)
	if err == nil {
		r.outcome = objects.Outcome{Applied: applied, Kept: objects.Digest(owned)}
	}
	return err
}

// release removes our owner reference, labels and CA bundle from an APIService that another adapter has taken by changing ours. Otherwise
// uninstalling KSMScale would delete the APIService, and it would trust our CA. With the admission plugin
// OwnerReferencesPermissionEnforcement, this needs the right to delete the APIService.
func (r *Reconciler) release(ctx context.Context, live *apiregistrationv1.APIService) error {
	owned, err := apiregistrationv1ac.ExtractAPIService(live, objects.FieldOwner)
	if err != nil {
		return fmt.Errorf("read the managed fields of APIService %s: %w", v1alpha1.APIServiceName, err)
	}
	if owned.OwnerReferences == nil && owned.Labels == nil {
		return nil
	}
	// The fields of the spec that the controller still owns must stay, because the other adapter may rely on them.
	left := apiregistrationv1ac.APIService(v1alpha1.APIServiceName).WithSpec(owned.Spec)
	if left.Spec != nil {
		left.Spec.CABundle = nil
	}
	left.WithResourceVersion(live.ResourceVersion)
	if err := r.Client.Apply(ctx, left, client.FieldOwner(objects.FieldOwner), client.DisableReadYourWritesConsistency); err != nil {
		return ReleaseError{err}
	}
	return nil
}

// live returns the APIService, or nil. It reads from the API server, which is cheap because reconciles are rare. A cache of this single
// object could miss a write if the APIService is deleted at once, and waiting for that write would never end.
func (r *Reconciler) live(ctx context.Context) (*apiregistrationv1.APIService, error) {
	var live apiregistrationv1.APIService
	err := r.APIReader.Get(ctx, client.ObjectKey{Name: v1alpha1.APIServiceName}, &live)
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // A missing APIService is no error.
	}
	if err != nil {
		return nil, fmt.Errorf("get APIService %s: %w", v1alpha1.APIServiceName, err)
	}
	return &live, nil
}

// ownedOf returns the fields of an APIService that the controller owns. They are empty if there is no APIService.
func ownedOf(live *apiregistrationv1.APIService) (*apiregistrationv1ac.APIServiceApplyConfiguration, error) {
	if live == nil {
		return &apiregistrationv1ac.APIServiceApplyConfiguration{}, nil
	}
	owned, err := apiregistrationv1ac.ExtractAPIService(live, objects.FieldOwner)
	if err != nil {
		return nil, fmt.Errorf("read the managed fields of APIService %s: %w", v1alpha1.APIServiceName, err)
	}
	return owned, nil
}

// ReleaseError reports that uninstalling KSMScale would delete an APIService that another adapter has taken.
type ReleaseError struct{ Err error }

// Error is part of error.
func (e ReleaseError) Error() string {
	return fmt.Sprintf("release APIService %s: %v", v1alpha1.APIServiceName, e.Err)
}

// Unwrap returns the cause.
func (e ReleaseError) Unwrap() error { return e.Err }

// trustBefore adds the CA of a Secret to our APIService, if that exists, and then writes the Secret. Meanwhile no reconcile removes the CA.
func (r *Reconciler) trustBefore(ctx context.Context, secret *corev1.Secret, write func() error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	// The rotator runs concurrently at its start and after each change of the Secret, and creates a new CA after each conflict. A CA that is
	// about to be discarded must not be trusted.
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
	if live != nil && objects.IsServedBy(live, r.Adapter) {
		if _, err := r.apply(ctx, secret.Data[caCertificateKey], live); err != nil {
			return fmt.Errorf("trust a new CA: %w", err)
		}
	}
	return write()
}

// errStaleSecret reports a write of a Secret from an old read.
var errStaleSecret = errors.New("the Secret has changed since")
