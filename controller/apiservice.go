package controller

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	apiregistrationv1ac "k8s.io/kube-aggregator/pkg/client/applyconfiguration/apiregistration/v1"
	"k8s.io/metrics/pkg/apis/external_metrics/v1beta1"
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
)

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
	// Adapter is where the adapter is served.
	Adapter ServiceReference
	// Registration is told how it goes.
	Registration *Registration
	// Certificate is the Secret with the certificate that the adapter serves, and its authority's.
	Certificate client.ObjectKey
}

// Reconcile makes the APIService as it is wanted, and leaves one that is not ours alone. It does nothing until
// there is a certificate.
func (r *APIServiceReconciler) Reconcile(ctx context.Context, _ ctrl.Request) (ctrl.Result, error) {
	err := r.register(ctx)
	r.Registration.set(err)
	return ctrl.Result{}, err
}

func (r *APIServiceReconciler) register(ctx context.Context) error {
	var certificate corev1.Secret
	if err := r.Client.Get(ctx, r.Certificate, &certificate); err != nil {
		return fmt.Errorf("get the Secret of the adapter's certificate: %w", err)
	}
	authority := certificate.Data[caCertificateKey]
	if len(authority) == 0 {
		log.FromContext(ctx).V(1).Info("The adapter has no certificate yet")
		return nil
	}

	// A cache of just this object may never see what was written, if it is deleted at once, so that a read of our
	// own write would wait in vain. This is read so rarely that a request costs little.
	var live apiregistrationv1.APIService
	err := r.APIReader.Get(ctx, client.ObjectKey{Name: APIServiceName}, &live)
	exists := err == nil
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("get APIService %s: %w", APIServiceName, err)
	}
	if exists && !r.Adapter.serves(&live) {
		return nil
	}
	return r.apply(ctx, authority, &live, exists)
}

func (r *APIServiceReconciler) apply(ctx context.Context, authority []byte, live *apiregistrationv1.APIService, exists bool) error {
	var role rbacv1.ClusterRole
	if err := r.APIReader.Get(ctx, client.ObjectKey{Name: AdapterClusterRole}, &role); err != nil {
		return fmt.Errorf("get ClusterRole %s: %w", AdapterClusterRole, err)
	}
	wanted := apiService(r.Adapter, authority, &role)
	options := []client.ApplyOption{client.FieldOwner(FieldOwner), client.DisableReadYourWritesConsistency}
	if exists {
		owned, err := apiregistrationv1ac.ExtractAPIService(live, FieldOwner)
		if err != nil {
			return fmt.Errorf("read the managed fields of APIService %s: %w", APIServiceName, err)
		}
		if equality.Semantic.DeepEqual(owned, wanted) {
			return nil
		}
		// One that someone else has changed since is a conflict, and looked at again.
		wanted.WithResourceVersion(live.ResourceVersion)
		options = append(options, client.ForceOwnership)
	}
	// Without force, one that someone else creates at this moment is a conflict, and not taken over.
	if err := r.Client.Apply(ctx, wanted, options...); err != nil {
		if !exists && apierrors.IsConflict(err) {
			return nil
		}
		return fmt.Errorf("apply APIService %s: %w", APIServiceName, err)
	}
	return nil
}

// apiService is the wanted APIService: external metrics are served by the adapter, whose certificate the given
// authority has signed.
func apiService(adapter ServiceReference, authority []byte, owner *rbacv1.ClusterRole) *apiregistrationv1ac.APIServiceApplyConfiguration {
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
			WithCABundle(authority...).
			WithService(apiregistrationv1ac.ServiceReference().
				WithNamespace(adapter.Namespace).WithName(adapter.Name).WithPort(adapter.Port)))
}
