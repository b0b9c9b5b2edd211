package registration

import (
	"context"
	"crypto/tls"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
	"github.com/example/ksmscale/controller/objects"
)

// registering is a reconciler of the APIService with a fake cluster, whose one adapter serves what refused tells.
type registering struct {
	*Reconciler
	refused error
	// shaken is how often its certificate was looked at.
	shaken int
}

func newRegistering(t *testing.T, existing ...client.Object) *registering {
	t.Helper()
	scheme := runtime.NewScheme()
	require.NoError(t, errors.Join(clientgoscheme.AddToScheme(scheme), apiregistrationv1.AddToScheme(scheme)))
	key := client.ObjectKey{Namespace: fixtures.Adapter.Namespace, Name: "certificate"}
	existing = append(existing,
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: objects.AdapterClusterRole, UID: "role"}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}},
		endpointSlice("adapter", 6443, newEndpoint("10.0.0.1", discoveryv1.EndpointConditions{})),
	)
	c := fake.NewClientBuilder().WithScheme(scheme).WithReturnManagedFields().WithObjects(existing...).Build()
	r := &registering{}
	r.Reconciler = &Reconciler{
		Client: c, APIReader: c, Clock: clocktesting.NewFakePassiveClock(fixtures.Time), Adapter: fixtures.Adapter,
		Registration: NewState(func() {}), Certificate: key, ManagesCertificate: true,
		handshake: func(_ context.Context, address string, config *tls.Config) error {
			assert.Equal(t, "10.0.0.1:6443", address)
			assert.Equal(t, "ksmscale-adapter.ksmscale-system.svc", config.ServerName)
			r.shaken++
			return r.refused
		},
	}
	return r
}

// secret is the Secret with another CA.
func (r *registering) secret(t *testing.T, current testCA) *corev1.Secret {
	t.Helper()
	var secret corev1.Secret
	require.NoError(t, r.Client.Get(t.Context(), r.Certificate, &secret))
	secret.Data = map[string][]byte{caCertificateKey: bundleOf(t, current)}
	return &secret
}

// has writes another CA into the Secret and reconciles.
func (r *registering) has(t *testing.T, current testCA) ctrl.Result {
	t.Helper()
	require.NoError(t, r.Client.Update(t.Context(), r.secret(t, current)))
	return r.again(t)
}

func (r *registering) again(t *testing.T) ctrl.Result {
	t.Helper()
	result, err := r.Reconcile(t.Context(), ctrl.Request{})
	require.NoError(t, err)
	return result
}

func (r *registering) read(t *testing.T) *apiregistrationv1.APIService {
	t.Helper()
	var live apiregistrationv1.APIService
	require.NoError(t, r.Client.Get(t.Context(), client.ObjectKey{Name: v1alpha1.APIServiceName}, &live))
	return &live
}

func (r *registering) assertTrusts(t *testing.T, cas ...testCA) {
	t.Helper()
	assert.Equal(t, string(bundleOf(t, cas...)), string(r.read(t).Spec.CABundle))
}

func TestNothingIsRegisteredWithoutACertificate(t *testing.T) {
	r := newRegistering(t)
	assert.Zero(t, r.again(t))
	err := r.Client.Get(t.Context(), client.ObjectKey{Name: v1alpha1.APIServiceName}, &apiregistrationv1.APIService{})
	assert.True(t, apierrors.IsNotFound(err), err)
}

// An ACME issuer writes no CA.
func TestCertificateOfOthersWithoutACA(t *testing.T) {
	r := newRegistering(t)
	r.ManagesCertificate = false
	_, err := r.Reconcile(t.Context(), ctrl.Request{})
	require.ErrorContains(t, err, "the Secret "+r.Certificate.String()+" has no CA in key ca.crt: configure the issuer")
	assert.Equal(t, err, r.Registration.Err())
	r.has(t, newCA(t, fixtures.Time.Add(time.Hour)))
	assert.NoError(t, r.Registration.Err())
}

func TestCAChanges(t *testing.T) {
	year := fixtures.Time.Add(365 * 24 * time.Hour)
	first, second, third := newCA(t, year), newCA(t, year), newCA(t, year)
	retry := ctrl.Result{RequeueAfter: 10 * time.Second}
	r := newRegistering(t)
	r.refused = errors.New("unknown authority")

	assert.Zero(t, r.has(t, first))
	r.assertTrusts(t, first)
	assert.Zero(t, r.again(t))
	assert.Zero(t, r.shaken, "there is no other CA to drop")

	assert.Equal(t, retry, r.has(t, second))
	r.assertTrusts(t, second, first)
	assert.Zero(t, r.shaken, "trusting is not held up")
	assert.Equal(t, retry, r.again(t))
	assert.Equal(t, 1, r.shaken)
	r.assertTrusts(t, second, first)
	assert.Contains(t, r.waitsFor, "unknown authority")

	assert.Equal(t, retry, r.has(t, third))
	r.assertTrusts(t, third, second, first)
	r.refused = nil
	assert.Zero(t, r.again(t))
	r.assertTrusts(t, third)
	assert.Empty(t, r.waitsFor)
	assert.NoError(t, r.Registration.Err())
}

func TestCAsWithoutAdapters(t *testing.T) {
	year := fixtures.Time.Add(365 * 24 * time.Hour)
	first, second := newCA(t, fixtures.Time.Add(time.Hour)), newCA(t, year)
	r := newRegistering(t)
	clock := clocktesting.NewFakePassiveClock(fixtures.Time)
	r.Clock = clock
	require.NoError(t, r.Client.DeleteAllOf(t.Context(), &discoveryv1.EndpointSlice{}, client.InNamespace(fixtures.Adapter.Namespace)))
	r.has(t, first)
	assert.NotZero(t, r.has(t, second))
	assert.NotZero(t, r.again(t))
	r.assertTrusts(t, second, first)
	clock.SetTime(fixtures.Time.Add(time.Hour))
	assert.Zero(t, r.again(t))
	r.assertTrusts(t, second)
}

func TestCAOfSomeoneElseIsNotTrusted(t *testing.T) {
	year := fixtures.Time.Add(365 * 24 * time.Hour)
	ours, foreign := newCA(t, year), newCA(t, year)
	r := newRegistering(t)
	r.has(t, ours)
	live := r.read(t)
	live.Spec.CABundle = bundleOf(t, ours, foreign)
	require.NoError(t, r.Client.Update(t.Context(), live, client.FieldOwner("someone")))
	assert.Zero(t, r.again(t))
	r.assertTrusts(t, ours)
}

func TestCAIsTrustedBeforeItIsWritten(t *testing.T) {
	year := fixtures.Time.Add(365 * 24 * time.Hour)
	first, second, third := newCA(t, year), newCA(t, year), newCA(t, year)
	r := newRegistering(t)
	r.has(t, first)
	var atWrite []byte
	rotator := trustingClient{Client: r.Client, trust: func(ctx context.Context, secret *corev1.Secret, write func() error) error {
		return r.trustBefore(ctx, secret, func() error {
			atWrite = r.read(t).Spec.CABundle
			return write()
		})
	}}

	stale := r.secret(t, third)
	require.NoError(t, rotator.Update(t.Context(), r.secret(t, second)))
	assert.Equal(t, string(bundleOf(t, second, first)), string(atWrite))
	assert.Equal(t, bundleOf(t, second), r.secret(t, second).Data[caCertificateKey])
	r.assertTrusts(t, second, first)

	assert.True(t, apierrors.IsConflict(rotator.Update(t.Context(), stale)))
	r.assertTrusts(t, second, first)
	assert.Error(t, rotator.Update(t.Context(), r.read(t)), "the rotator has no other object to write")
}

// The rotator runs twice and writes the same Secret twice at its start.
func TestCAThatIsNotWrittenIsNotTrusted(t *testing.T) {
	year := fixtures.Time.Add(365 * 24 * time.Hour)
	first, second, third := newCA(t, year), newCA(t, year), newCA(t, year)
	r := newRegistering(t)
	r.has(t, first)
	stale := r.secret(t, third)
	waiting := trustingClient{Client: r.Client, trust: func(ctx context.Context, secret *corev1.Secret, write func() error) error {
		require.NoError(t, trustingClient{Client: r.Client, trust: r.trustBefore}.Update(t.Context(), r.secret(t, second)))
		return r.trustBefore(ctx, secret, write)
	}}
	assert.True(t, apierrors.IsConflict(waiting.Update(t.Context(), stale)))
	r.assertTrusts(t, second, first)
}

func TestCAOfAForeignAPIService(t *testing.T) {
	foreign := fixtures.RegisteredAPIService("keda", "metrics", apiregistrationv1.ConditionTrue)
	foreign.Name = v1alpha1.APIServiceName
	r := newRegistering(t, foreign)
	current := newCA(t, fixtures.Time.Add(time.Hour))
	rotator := trustingClient{Client: r.Client, trust: r.trustBefore}
	require.NoError(t, rotator.Update(t.Context(), r.secret(t, current)))
	before := r.read(t)
	assert.Zero(t, r.again(t))
	assert.Equal(t, before, r.read(t))
	assert.Empty(t, before.Spec.CABundle)
	assert.Empty(t, before.OwnerReferences, "it does not go with the installation")
}

// Another installer's patch of our APIService leaves what it does not name.
func TestAPIServiceThatAnotherMakesTheirs(t *testing.T) {
	r := newRegistering(t)
	r.has(t, newCA(t, fixtures.Time.Add(time.Hour)))
	ours := r.read(t)
	require.NotEmpty(t, ours.OwnerReferences)
	theirs := ours.DeepCopy()
	theirs.Spec.Service = &apiregistrationv1.ServiceReference{Namespace: "keda", Name: "metrics", Port: new(int32(443))}
	require.NoError(t, r.Client.Patch(t.Context(), theirs, client.MergeFrom(ours), client.FieldOwner("helm")))

	assert.Zero(t, r.again(t))
	left := r.read(t)
	assert.Empty(t, left.OwnerReferences, "it does not go with our installation")
	assert.Empty(t, left.Labels)
	assert.Empty(t, left.Spec.CABundle)
	assert.Equal(t, theirs.Spec.Service, left.Spec.Service)
	assert.Equal(t, theirs.Spec.Group, left.Spec.Group)
	assert.Equal(t, theirs.Spec.VersionPriority, left.Spec.VersionPriority)
	assert.Zero(t, r.again(t))
	assert.Equal(t, left.ResourceVersion, r.read(t).ResourceVersion, "once is enough")
}

func TestAPIServiceThatCannotBeLetGoIsReported(t *testing.T) {
	r := newRegistering(t)
	r.has(t, newCA(t, fixtures.Time.Add(time.Hour)))
	ours := r.read(t)
	theirs := ours.DeepCopy()
	theirs.Spec.Service = &apiregistrationv1.ServiceReference{Namespace: "keda", Name: "metrics", Port: new(int32(443))}
	require.NoError(t, r.Client.Patch(t.Context(), theirs, client.MergeFrom(ours), client.FieldOwner("helm")))
	live, ok := r.Client.(client.WithWatch)
	require.True(t, ok)
	r.Client = interceptor.NewClient(live, interceptor.Funcs{Apply: func(context.Context, client.WithWatch, runtime.ApplyConfiguration, ...client.ApplyOption) error {
		return apierrors.NewForbidden(apiregistrationv1.Resource("apiservices"), v1alpha1.APIServiceName, errors.New("cannot set an ownerRef on a resource you can't delete"))
	}})
	_, err := r.Reconcile(t.Context(), ctrl.Request{})
	assert.True(t, apierrors.IsForbidden(err), "it is tried again")
	var failed ReleaseError
	require.ErrorAs(t, r.Registration.Err(), &failed)

	r.Client = live
	r.again(t)
	require.NoError(t, r.Registration.Err())
	assert.Empty(t, r.read(t).OwnerReferences)
}

// The API server may make something else of what is applied; that is not applied again and again.
func TestAPIServiceThatTheServerChanges(t *testing.T) {
	r := newRegistering(t)
	live, ok := r.Client.(client.WithWatch)
	require.True(t, ok)
	applied := 0
	changed := interceptor.NewClient(live, interceptor.Funcs{
		Apply: func(ctx context.Context, c client.WithWatch, object runtime.ApplyConfiguration, options ...client.ApplyOption) error {
			applied++
			return c.Apply(ctx, object, options...)
		},
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
			err := c.Get(ctx, key, object, options...)
			if apiService, ok := object.(*apiregistrationv1.APIService); ok {
				apiService.Spec.GroupPriorityMinimum++
			}
			return err
		},
	})
	r.Client, r.APIReader = changed, changed
	r.has(t, newCA(t, fixtures.Time.Add(time.Hour)))
	for range 5 {
		r.again(t)
	}
	assert.Equal(t, 1, applied)
	ours := r.read(t)
	ours.Spec.VersionPriority++
	require.NoError(t, live.Update(t.Context(), ours, client.FieldOwner("someone")))
	r.again(t)
	r.again(t)
	assert.Equal(t, 2, applied, "what someone else changes is repaired")
}

func TestNewCAIsNotWrittenUntilItIsTrusted(t *testing.T) {
	year := fixtures.Time.Add(365 * 24 * time.Hour)
	r := newRegistering(t)
	r.has(t, newCA(t, year))
	require.NoError(t, r.Client.Delete(t.Context(), &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: objects.AdapterClusterRole}}))
	err := r.trustBefore(t.Context(), r.secret(t, newCA(t, year)), func() error {
		t.Error("written")
		return nil
	})
	assert.True(t, apierrors.IsNotFound(err), err)
}
