package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	monitoringv1alpha1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/applyconfigurations"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/structured-merge-diff/v6/typed"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/controller/partition"
	"github.com/example/ksmscale/controller/registration"
	"github.com/example/ksmscale/plans"
	"github.com/example/ksmscale/scaling"
)

// planner plans for a number of nodes, unless it has an error.
type planner struct {
	nodes int
	err   error
}

func (p planner) One(ksmScale *v1alpha1.KSMScale) (plans.Planned, error) {
	cluster := scaling.Cluster{Nodes: p.nodes}
	return plans.New(ksmScale, cluster, fixtures.Time), p.err
}

// recorded are the weights that are recorded already.
type recorded struct{}

func (recorded) Weights(ksmScale *v1alpha1.KSMScale) []v1alpha1.ShardWeights {
	if ksmScale.Status.ShardingStatus == nil {
		return nil
	}
	return ksmScale.Status.ShardingStatus.Weights
}

// weights are just measured.
type weights []v1alpha1.ShardWeights

func (w weights) Weights(*v1alpha1.KSMScale) []v1alpha1.ShardWeights { return w }

// newReconciler reconciles one KSMScale with a fake client. Apply, if not nil, is called before each object is
// applied, with its name.
func newReconciler(t *testing.T, plans planner, apply func(kind, name string) error) (*Reconciler, *events.FakeRecorder) {
	t.Helper()
	scheme := runtime.NewScheme()
	require.NoError(t, errors.Join(clientgoscheme.AddToScheme(scheme), apiregistrationv1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme),
		monitoringv1.AddToScheme(scheme), monitoringv1alpha1.AddToScheme(scheme)))
	builder := fake.NewClientBuilder()
	name, of := observation.Index()
	for _, object := range observation.Indexed() {
		builder.WithIndex(object, name, of)
	}
	c := builder.WithScheme(scheme).WithObjects(fixtures.KSMScale()).WithStatusSubresource(&v1alpha1.KSMScale{}).
		WithReturnManagedFields().
		WithTypeConverters(applyconfigurations.NewTypeConverter(scheme), monitorConverter{}, managedfields.NewDeducedTypeConverter()).
		WithInterceptorFuncs(interceptor.Funcs{Apply: func(ctx context.Context, c client.WithWatch, object runtime.ApplyConfiguration, options ...client.ApplyOption) error {
			if named, ok := object.(interface {
				GetKind() *string
				GetName() *string
			}); ok && apply != nil {
				if err := apply(*named.GetKind(), *named.GetName()); err != nil {
					return err
				}
			}
			return c.Apply(ctx, object, options...)
		}, Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
			err := c.Get(ctx, key, object, options...)
			disownStatus(object)
			return err
		}}).Build()
	recorder := events.NewFakeRecorder(100)
	foreign := observation.NewForeignAutoscalers(c, c, clocktesting.NewFakeClock(fixtures.Time), func() {})
	budgets := observation.NewForeignBudgets(c, c, clocktesting.NewFakeClock(fixtures.Time), func() {})
	require.NoError(t, errors.Join(foreign.Poll(t.Context()), budgets.Poll(t.Context())))
	return &Reconciler{
		Client: c, APIReader: c, Uncached: c, Plans: plans, NodeKinds: fixtures.NodeKinds{}, Loads: recorded{}, Foreign: foreign, Budgets: budgets, Recorder: recorder,
		Clock: clocktesting.NewFakePassiveClock(fixtures.Time), Adapter: fixtures.Adapter,
		Registration: registration.NewState(func() {}), GateImage: fixtures.GateImage, Rollouts: partition.RolloutLimits{PerKSMScale: 1, Total: 3},
	}, recorder
}

// refusable is a reader whose lists fail with an error, if it is set.
type refusable struct {
	client.Reader
	err *error
}

func (r refusable) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	if *r.err != nil {
		return *r.err
	}
	return r.Reader.List(ctx, list, options...)
}

// monitorConverter has the fake client tell the fields of the Prometheus Operator's kinds apart as an API server does.
type monitorConverter struct{ managedfields.TypeConverter }

func (monitorConverter) ObjectToTyped(object runtime.Object, options ...typed.ValidationOptions) (*typed.TypedValue, error) {
	if kind := object.GetObjectKind().GroupVersionKind(); kind.Group != monitoringv1.SchemeGroupVersion.Group {
		return nil, fmt.Errorf("%s is another one's", kind)
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, err
	}
	return objects.MonitorFields.FromUnstructured(content, options...)
}

func (monitorConverter) TypedToObject(*typed.TypedValue) (runtime.Object, error) {
	return nil, errors.New("the deduced type does for this")
}

// disownStatus removes the status from what managers own: an API server does not let who applies an object own its
// status, the fake client does.
func disownStatus(object client.Object) {
	for _, entry := range object.GetManagedFields() {
		if entry.Subresource == "" && entry.FieldsV1 != nil {
			var fields map[string]json.RawMessage
			if err := json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields); err != nil {
				panic(err)
			}
			delete(fields, "f:status")
			without, err := json.Marshal(fields)
			if err != nil {
				panic(err)
			}
			entry.FieldsV1.SetRawBytes(without)
		}
	}
}

func reconcileMain(t *testing.T, r *Reconciler) (ctrl.Result, error) {
	t.Helper()
	return r.Reconcile(t.Context(), requestFor("main"))
}

func readMain(t *testing.T, r *Reconciler) *v1alpha1.KSMScale {
	t.Helper()
	ksmScale := &v1alpha1.KSMScale{}
	require.NoError(t, r.Client.Get(t.Context(), client.ObjectKey{Name: "main"}, ksmScale))
	return ksmScale
}

func TestReconcileMakesEveryShard(t *testing.T) {
	r, _ := newReconciler(t, planner{nodes: 60}, nil)
	_, err := reconcileMain(t, r)
	require.NoError(t, err)
	var deployments appsv1.DeploymentList
	require.NoError(t, r.Client.List(t.Context(), &deployments, client.InNamespace("monitoring")))
	assert.Len(t, deployments.Items, 3)
	status := readMain(t, r).Status
	assert.EqualValues(t, 4, status.DesiredReplicas)
	assert.Equal(t, v1alpha1.PhaseIncomplete, status.Phase)
	assert.Equal(t, fixtures.Time, status.LastUpdated.UTC())
}

func TestReconcileAgainWritesNothing(t *testing.T) {
	var applied int
	r, recorder := newReconciler(t, planner{nodes: 60}, func(string, string) error { applied++; return nil })
	_, err := reconcileMain(t, r)
	require.NoError(t, err)
	before, appliedOnce := readMain(t, r), applied
	require.Len(t, recorder.Events, 1)

	for range 10 {
		_, err := reconcileMain(t, r)
		require.NoError(t, err)
	}
	assert.Equal(t, appliedOnce, applied, "nothing is applied again")
	assert.Equal(t, before.ResourceVersion, readMain(t, r).ResourceVersion, "the status is not written again")
	assert.Len(t, recorder.Events, 1, "no event is repeated")
}

// What is recorded is what is planned from at once, and not written again.
func TestMeasuredWeightsAreRecorded(t *testing.T) {
	r, _ := newReconciler(t, planner{nodes: 75}, nil)
	ksmScale := readMain(t, r)
	ksmScale.Spec.Sharding.ReplicationStrategy = v1alpha1.LeastLoaded
	require.NoError(t, r.Client.Update(t.Context(), ksmScale))
	_, err := reconcileMain(t, r)
	require.NoError(t, err)
	assert.Empty(t, readMain(t, r).Status.ShardingStatus.Weights)

	measured := weights{{TotalShards: 3, Weights: []int32{5, 20, 5}}, {TotalShards: 7, Weights: []int32{1, 1, 1, 1, 1, 1, 1}}}
	r.Loads = measured
	_, err = reconcileMain(t, r)
	require.NoError(t, err)
	before := readMain(t, r)
	assert.Equal(t, []v1alpha1.ShardWeights(measured[:1]), before.Status.ShardingStatus.Weights, "there are no shards of 7")

	_, err = reconcileMain(t, r)
	require.NoError(t, err)
	assert.Equal(t, before.ResourceVersion, readMain(t, r).ResourceVersion)
}

func TestOneShardThatFailsDoesNotHoldUpTheOthers(t *testing.T) {
	refusal := errors.New("refused")
	r, recorder := newReconciler(t, planner{nodes: 60}, func(kind, name string) error {
		if kind == "Deployment" && name == "ksm-main-shard-1-of-3" {
			return refusal
		}
		return nil
	})
	_, err := reconcileMain(t, r)
	require.ErrorIs(t, err, refusal)
	for id, desired := range []bool{true, false, true} {
		err := r.Client.Get(t.Context(), client.ObjectKey{Namespace: "monitoring", Name: fixtures.Shard(int32(id)).Name()}, &appsv1.Deployment{})
		assert.Equal(t, desired, err == nil, "shard %d", id)
	}
	require.NoError(t, r.Client.Get(t.Context(), client.ObjectKey{Namespace: "monitoring", Name: fixtures.Shard(1).Name()}, &corev1.Service{}))
	ready := meta.FindStatusCondition(readMain(t, r).Status.Conditions, v1alpha1.ConditionReady)
	require.NotNil(t, ready, "the status is written all the same")
	assert.Equal(t, v1alpha1.ReasonApplyFailed, ready.Reason)
	assert.Contains(t, <-recorder.Events, "Warning ApplyFailed")
}

func TestReconcileWaitsForTheNodes(t *testing.T) {
	r, _ := newReconciler(t, planner{err: plans.ErrNotSynced}, func(string, string) error { return errors.New("too early") })
	result, err := reconcileMain(t, r)
	require.NoError(t, err)
	assert.Equal(t, syncInterval, result.RequeueAfter)
}

func TestReconcileOfWhatIsGone(t *testing.T) {
	r, _ := newReconciler(t, planner{}, func(string, string) error { return errors.New("not desired") })
	_, err := r.Reconcile(t.Context(), requestFor("gone"))
	assert.NoError(t, err)
}

// Others may create an object between our look and our write.
func TestCreatesTakeNothingOver(t *testing.T) {
	r, _ := newReconciler(t, planner{nodes: 60}, nil)
	foreign := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "monitoring", Name: fixtures.Shard(0).Name()},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: v1alpha1.PortNameMetrics, Port: 8080, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromInt32(9999)}}},
	}
	live, ok := r.Client.(client.WithWatch)
	require.True(t, ok)
	require.NoError(t, live.Create(t.Context(), foreign))
	r.Client = interceptor.NewClient(live, interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
		if _, ok := object.(*corev1.Service); ok {
			return apierrors.NewNotFound(corev1.Resource("services"), key.Name)
		}
		return c.Get(ctx, key, object, options...)
	}})
	r.APIReader = r.Client

	_, err := reconcileMain(t, r)
	require.ErrorContains(t, err, "conflict")
	require.NoError(t, live.Get(t.Context(), client.ObjectKeyFromObject(foreign), foreign))
	assert.Empty(t, foreign.OwnerReferences)
	assert.Equal(t, 9999, foreign.Spec.Ports[0].TargetPort.IntValue())
}
