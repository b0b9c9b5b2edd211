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

// Reconciler registers the adapter as the server of external metrics, unless another one is.
type Reconciler struct {
	// Client reads from a cache that has what the controller itself has written.
	Client client.Client
	// APIReader reads from the API server.
	APIReader client.Reader
	// Clock tells which certificates are valid still.
	Clock clock.PassiveClock
	// Adapter is where the adapter is served.
	Adapter v1alpha1.ServiceReference
	// Registration is told how it goes.
	Registration *State
	// Certificate is the Secret with the certificate that the adapter serves, and its authority's.
	Certificate client.ObjectKey

	handshake handshake
	// mu is held while the APIService follows the Secret, or goes ahead of it.
	mu sync.Mutex
	// waitsFor is why previous authorities are trusted still, as it was logged last.
	waitsFor string
	// outcome is what the API server made of the last APIService that was applied.
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

// Reconcile makes the APIService as it is wanted, and leaves one that is not ours alone. It does nothing until
// there is a certificate.
func (r *Reconciler) Reconcile(ctx context.Context, _ ctrl.Request) (ctrl.Result, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	result, err := r.register(ctx)
	r.Registration.set(err)
	return result, err
}

func (r *Reconciler) register(ctx context.Context) (ctrl.Result, error) {
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
	if live != nil && !objects.IsServedBy(live, r.Adapter) {
		return ctrl.Result{}, r.letGo(ctx, live)
	}
	return r.apply(ctx, authority, live)
}

func (r *Reconciler) apply(ctx context.Context, authority []byte, live *apiregistrationv1.APIService) (ctrl.Result, error) {
	var role rbacv1.ClusterRole
	if err := r.APIReader.Get(ctx, client.ObjectKey{Name: objects.AdapterClusterRole}, &role); err != nil {
		return ctrl.Result{}, fmt.Errorf("get ClusterRole %s: %w", objects.AdapterClusterRole, err)
	}
	owned, err := ownedOf(live)
	if err != nil {
		return ctrl.Result{}, err
	}
	bundle, result, err := r.bundle(ctx, authority, owned)
	if err != nil {
		return ctrl.Result{}, err
	}
	wanted := objects.APIService(r.Adapter, bundle, &role)
	applied := objects.Digest(wanted)
	if equality.Semantic.DeepEqual(owned, wanted) || r.outcome == (objects.Outcome{Applied: applied, Kept: objects.Digest(owned)}) {
		return result, nil
	}
	options := []client.ApplyOption{client.FieldOwner(objects.FieldOwner), client.DisableReadYourWritesConsistency}
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
		return ctrl.Result{}, fmt.Errorf("apply APIService %s: %w", v1alpha1.APIServiceName, err)
	}
	return result, r.remember(ctx, applied, objects.ResourceVersionOf(wanted))
}

// remember keeps the outcome of a configuration that was applied, unless someone else has changed the APIService since.
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

// letGo takes what is ours from an APIService that someone else has made theirs by changing the one that we made: else
// it would be deleted with our installation, and trust our authority. Where the admission plugin
// OwnerReferencesPermissionEnforcement is on, this takes the right to delete it.
func (r *Reconciler) letGo(ctx context.Context, live *apiregistrationv1.APIService) error {
	owned, err := apiregistrationv1ac.ExtractAPIService(live, objects.FieldOwner)
	if err != nil {
		return fmt.Errorf("read the managed fields of APIService %s: %w", v1alpha1.APIServiceName, err)
	}
	if owned.OwnerReferences == nil && owned.Labels == nil {
		return nil
	}
	// Our share of the specification is needed still, if they have left it as it was.
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

// live is the APIService, or nil if there is none.
//
// A cache of just this object may never see what was written, if it is deleted at once, so that a read of our own
// write would wait in vain. This is read so rarely that a request costs little.
func (r *Reconciler) live(ctx context.Context) (*apiregistrationv1.APIService, error) {
	var live apiregistrationv1.APIService
	err := r.APIReader.Get(ctx, client.ObjectKey{Name: v1alpha1.APIServiceName}, &live)
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // There being none is no error here.
	}
	if err != nil {
		return nil, fmt.Errorf("get APIService %s: %w", v1alpha1.APIServiceName, err)
	}
	return &live, nil
}

// ownedOf has the fields of an APIService that the controller has applied; none, if there is no APIService.
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

// ReleaseError reports that an APIService which another adapter has taken is still deleted with our installation.
type ReleaseError struct{ Err error }

func (e ReleaseError) Error() string {
	return fmt.Sprintf("let APIService %s go: %v", v1alpha1.APIServiceName, e.Err)
}

func (e ReleaseError) Unwrap() error { return e.Err }

// trustBefore has our APIService, if there is one, trust the authority of a Secret before that is written. Meanwhile no
// one takes the trust back because the Secret does not have the authority yet.
func (r *Reconciler) trustBefore(ctx context.Context, secret *corev1.Secret, write func() error) error {
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
	if live != nil && objects.IsServedBy(live, r.Adapter) {
		if _, err := r.apply(ctx, secret.Data[caCertificateKey], live); err != nil {
			return fmt.Errorf("trust a new authority: %w", err)
		}
	}
	return write()
}

var errStaleSecret = errors.New("the Secret has changed since")
