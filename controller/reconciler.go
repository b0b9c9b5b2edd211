package controller

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/plans"
	"github.com/example/ksmscale/scaling"
)

// syncInterval is how often a KSMScale is looked at again until the nodes have been counted.
const syncInterval = time.Second

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

// Reconciler makes the objects of a KSMScale, and writes its status.
type Reconciler struct {
	// Client reads from a cache that has what the controller itself has written.
	Client client.Client
	// APIReader reads from the API server.
	APIReader client.Reader
	Plans     Plans
	NodeKinds NodeKinds
	// Foreign has the autoscalers of others.
	Foreign *ForeignAutoscalers
	// Budgets has the PodDisruptionBudgets of others.
	Budgets *ForeignBudgets
	// Loads are the loads of shards that have been measured.
	Loads    Loads
	Recorder events.EventRecorder
	Clock    clock.PassiveClock
	// Adapter is where the adapter is served.
	Adapter ServiceReference
	// Registration is how its registration with the API server goes.
	Registration *Registration
	// Versions knows which versions of kube-state-metrics run; nil for one that AddToManager makes.
	Versions *Versions
	// Rollouts bound how many shards replace their pods at the same time.
	Rollouts RolloutLimits
	// Monitors has what there is of the Prometheus Operator; nil if no one is to look.
	Monitors *Monitors
	// GateImage is the image of the gate in each shard's pods: the controller's own.
	GateImage string

	histories   histories
	retirements retirements
	outcomes    outcomes
	tolerances  tolerances
	// turns is held while a shard takes its turn to start a rollout.
	turns sync.Mutex
}

// failures are what went wrong with a KSMScale.
type failures struct {
	// apply is about its objects.
	apply error
	// scale is about the replicas of its shards.
	scale error
	// monitoring is about the objects for the Prometheus Operator.
	monitoring error
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
		// The garbage collector deletes what it owns.
		return ctrl.Result{}, nil
	}
	before, err := r.observe(ctx, ksmScale)
	if err != nil {
		return ctrl.Result{}, err
	}
	planned, err := r.Plans.One(holding(r.weighted(ksmScale), before))
	if errors.Is(err, plans.ErrNotSynced) {
		return ctrl.Result{RequeueAfter: syncInterval}, nil
	}
	if err != nil {
		return ctrl.Result{}, err
	}

	decision := Decide(targets(planned, before), before, r.Clock.Now())
	// Rights, and who no longer scales, are taken away whatever else fails; shards only once those that replace them
	// are there.
	pruneErr := r.pruneAutoscalers(ctx, ksmScale)
	rightsErr := r.applyRights(ctx, ksmScale, before)
	outdated, applyErr := r.applyAll(ctx, ksmScale, before, decision.Apply)
	failed := failures{apply: errors.Join(pruneErr, rightsErr, applyErr, r.applyOthers(ctx, ksmScale, before, decision))}
	if failed.apply == nil {
		failed.apply = r.pruneShards(ctx, ksmScale, decision.Keep)
	}
	failed.monitoring = r.applyMonitors(ctx, ksmScale, before.monitoring)
	after, err := r.observe(ctx, ksmScale)
	if err != nil {
		return ctrl.Result{}, errors.Join(failed.apply, failed.monitoring, err)
	}
	after.outdated = outdated
	var again time.Duration
	if pruneErr == nil {
		again, failed.scale = r.scaleDirectly(ctx, planned, after)
	}
	status := r.status(ksmScale, planned, after, decision, failed)
	return ctrl.Result{RequeueAfter: scaling.Sooner(scaling.Sooner(decision.RecheckAfter, again), after.said.again)},
		errors.Join(failed.apply, failed.scale, failed.monitoring, r.writeStatus(ctx, ksmScale, status))
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

// writeStatus writes a status if it differs from the one there is, and then tells of it.
func (r *Reconciler) writeStatus(ctx context.Context, ksmScale *v1alpha1.KSMScale, status v1alpha1.KSMScaleStatus) error {
	status.LastUpdated = ksmScale.Status.LastUpdated
	if equality.Semantic.DeepEqual(ksmScale.Status, status) {
		return nil
	}
	status.LastUpdated = now(r.Clock)
	updated := ksmScale.DeepCopy()
	updated.Status = status
	if err := r.Client.Status().Update(ctx, updated); err != nil {
		return fmt.Errorf("write the status: %w", err)
	}
	r.recordTransition(updated, ksmScale.Status.Conditions)
	return nil
}
