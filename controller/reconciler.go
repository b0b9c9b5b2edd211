package controller

import (
	"context"
	"errors"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/controller/partition"
	"github.com/example/ksmscale/controller/registration"
	"github.com/example/ksmscale/controller/status"
	"github.com/example/ksmscale/plans"
	"github.com/example/ksmscale/scaling"
)

// syncInterval is how often a KSMScale is looked at again until the nodes have been counted.
const syncInterval = time.Second

// Reconciler makes the objects of a KSMScale, and writes its status.
type Reconciler struct {
	// Client reads from a cache that has what the controller itself has written.
	Client client.Client
	// APIReader reads from the API server.
	APIReader client.Reader
	Plans     Plans
	NodeKinds NodeKinds
	// Foreign has the autoscalers of others.
	Foreign *observation.ForeignAutoscalers
	// Budgets has the PodDisruptionBudgets of others.
	Budgets *observation.ForeignBudgets
	// Loads are the loads of shards that have been measured.
	Loads    Loads
	Recorder events.EventRecorder
	Clock    clock.PassiveClock
	// Adapter is where the adapter is served.
	Adapter v1alpha1.ServiceReference
	// Registration is how its registration with the API server goes.
	Registration *registration.State
	// Versions knows which versions of kube-state-metrics run; nil for one that AddToManager makes.
	Versions *observation.Versions
	// Rollouts bound how many shards replace their pods at the same time.
	Rollouts partition.RolloutLimits
	// Monitors has what there is of the Prometheus Operator; nil if no one is to look.
	Monitors *observation.Monitors
	// GateImage is the image of the gate in each shard's pods: the controller's own.
	GateImage string
	// MeasureInterval is the time between two measurements of a gate; 0 for the default of the gate.
	MeasureInterval time.Duration
	// Sizing recommends the number of shards and the size of their pods.
	Sizing Sizing

	histories   histories
	retirements retirements
	outcomes    outcomes
	tolerances  tolerances
	// turns is held while a shard takes its turn to start a rollout.
	turns sync.Mutex
}

// Plans has the plan of a KSMScale, or plans.ErrNotSynced.
type Plans interface {
	One(ksmScale *v1alpha1.KSMScale) (plans.Planned, error)
}

// NodeKinds has the kinds of nodes that there are.
type NodeKinds interface {
	Kinds() []scaling.NodeKind
}

// Loads has the weights of shards to record in the status of a KSMScale.
type Loads interface {
	Weights(ksmScale *v1alpha1.KSMScale) []v1alpha1.ShardWeights
}

// Reconcile brings one KSMScale's objects and status up to date. Errors of objects are in the status as well.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	ksmScale := &v1alpha1.KSMScale{}
	err := r.Client.Get(ctx, request.NamespacedName, ksmScale)
	if client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, err
	}
	if err != nil || ksmScale.DeletionTimestamp != nil {
		r.histories.forget(request.Name)
		r.retirements.forget(request.Name)
		r.outcomes.forget(request.Name)
		r.Sizing.states.forget(request.Name)
		// The garbage collector deletes what it owns.
		return ctrl.Result{}, nil
	}
	before, err := r.observe(ctx, ksmScale)
	if err != nil {
		return ctrl.Result{}, err
	}
	planned, ksmScale, err := r.plan(ctx, ksmScale, before)
	if errors.Is(err, plans.ErrNotSynced) {
		return ctrl.Result{RequeueAfter: syncInterval}, nil
	}
	if err != nil {
		return ctrl.Result{}, err
	}

	desired := planned.KSMScale
	decision := partition.Decide(partition.Targets(planned, before), before, r.Clock.Now())
	// Rights, and who no longer scales, are taken away whatever else fails; shards only once those that replace them
	// are there.
	pruneErr := r.pruneAutoscalers(ctx, desired)
	rightsErr := r.applyRights(ctx, desired, before)
	outdated, applyErr := r.applyAll(ctx, desired, before, decision.Apply)
	failed := status.Failures{Apply: errors.Join(pruneErr, rightsErr, applyErr, r.applyOthers(ctx, desired, before, decision))}
	if failed.Apply == nil {
		failed.Apply = r.pruneShards(ctx, desired, decision.Keep)
	}
	failed.Monitoring = r.applyMonitors(ctx, desired, before.Monitoring)
	after, err := r.observe(ctx, ksmScale)
	if err != nil {
		return ctrl.Result{}, errors.Join(failed.Apply, failed.Monitoring, err)
	}
	after.Outdated = outdated
	var again time.Duration
	if pruneErr == nil {
		again, failed.Scale = r.scaleDirectly(ctx, planned, after)
	}
	status := status.Compute(status.Input{
		KSMScale: ksmScale, Planned: planned, Snapshot: after, Decision: decision, Failures: failed,
		ExternalMetrics: externalMetrics(r.Registration.Err()), Adapter: r.Adapter, NodeKinds: r.NodeKinds.Kinds(), Now: now(r.Clock),
	})
	return ctrl.Result{RequeueAfter: scaling.Sooner(scaling.Sooner(decision.RecheckAfter, again), after.Versions.RecheckAfter)},
		errors.Join(failed.Apply, failed.Scale, failed.Monitoring, r.writeStatus(ctx, ksmScale, status))
}

// observe takes a snapshot of a KSMScale's objects.
func (r *Reconciler) observe(ctx context.Context, ksmScale *v1alpha1.KSMScale) (observation.Snapshot, error) {
	snapshot, err := observation.Reader{
		Client: r.Client, APIReader: r.APIReader, Versions: r.Versions, Autoscalers: r.Foreign, Budgets: r.Budgets, Monitors: r.Monitors,
		Measurements: r.Sizing.Measurements,
	}.Read(ctx, ksmScale)
	if err != nil {
		return observation.Snapshot{}, err
	}
	snapshot.RetiredSince = r.retirements.of(ksmScale.Name, snapshot.Services, r.Clock.Now())
	return snapshot, nil
}

// weighted is a KSMScale as its status is going to be, as far as it is planned from.
func (r *Reconciler) weighted(ksmScale *v1alpha1.KSMScale) *v1alpha1.KSMScale {
	weighted := ksmScale.DeepCopy()
	if weighted.Status.ShardingStatus == nil {
		weighted.Status.ShardingStatus = &v1alpha1.ShardingStatus{}
	}
	weighted.Status.ShardingStatus.Weights = r.Loads.Weights(ksmScale)
	return weighted
}

// now is the time to the second, as the API server keeps it.
func now(clock clock.PassiveClock) metav1.Time { return metav1.NewTime(clock.Now()).Rfc3339Copy() }
