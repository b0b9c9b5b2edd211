package controller

import (
	"context"
	"errors"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
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

// syncInterval is the time between two attempts until the nodes have been counted.
const syncInterval = time.Second

// monitorsRetry is the longest time between two attempts to write objects of the Prometheus Operator while shards have a next step.
const monitorsRetry = 10 * time.Second

// Reconciler applies the objects of a KSMScale, and writes its status.
type Reconciler struct {
	// Client reads from a cache that already has the writes of the controller.
	Client client.Client
	// APIReader reads from the API server.
	APIReader client.Reader
	// Uncached reads and writes the objects of the Prometheus Operator. A cache cannot watch kinds that may not be installed.
	Uncached client.Client
	// Plans returns the plan, and NodeKinds has the kinds of nodes in the cluster.
	Plans     Plans
	NodeKinds NodeKinds
	// Foreign lists the autoscalers of others.
	Foreign *observation.ForeignAutoscalers
	// VerticalAutoscalers lists VerticalPodAutoscalers; nil to skip them.
	VerticalAutoscalers *observation.VerticalAutoscalers
	// Budgets lists the PodDisruptionBudgets of others.
	Budgets *observation.ForeignBudgets
	// Loads has the measured loads of shards.
	Loads Loads
	// Recorder records events, and Clock is the clock of this process.
	Recorder events.EventRecorder
	Clock    clock.PassiveClock
	// Adapter is the Service of the adapter.
	Adapter v1alpha1.ServiceReference
	// Registration has the state of the registration of external metrics.
	Registration *registration.State
	// Versions reads the versions of kube-state-metrics. AddToManager sets it if it is nil.
	Versions *observation.Versions
	// Concurrent is how many KSMScales are reconciled at the same time.
	Concurrent int
	// Rollouts bound how many shards replace their pods at the same time.
	Rollouts partition.RolloutLimits
	// Monitors lists the objects of the Prometheus Operator; nil to skip them.
	Monitors *observation.Monitors
	// GateImage is the image of the gate in the pods of each shard.
	GateImage string
	// MeasureInterval is the time between two measurements of a gate; 0 for the default of the gate.
	MeasureInterval time.Duration
	// CountInterval is the time between two counts of objects of a gate; 0 for the default of the gate.
	CountInterval time.Duration
	// Sizing recommends the number of shards and the size of their pods.
	Sizing Sizing

	histories   histories
	recommended histories
	retirements retirements
	outcomes    outcomes
	// outdated are the shards that wait for their turn. A set does not change, but is replaced by another one.
	outdated   memories[sets.Set[v1alpha1.Shard]]
	tolerances tolerances
	// reshardSteps keeps events about resharding from being repeated.
	reshardSteps reshardSteps
	// turns is locked while a shard takes its turn to start a rollout.
	turns sync.Mutex
}

// Plans makes plans for KSMScales.
type Plans interface {
	// One returns the plan of a KSMScale, or plans.ErrNotSynced.
	One(ksmScale *v1alpha1.KSMScale) (plans.Planned, error)
}

// NodeKinds has the kinds of nodes in the cluster.
type NodeKinds interface {
	// Kinds returns the kinds in no particular order.
	Kinds() []scaling.NodeKind
}

// Loads has the measured loads of shards.
type Loads interface {
	// Weights returns the weights to record in the status of a KSMScale.
	Weights(ksmScale *v1alpha1.KSMScale) []v1alpha1.ShardWeights
}

// Reconcile brings the objects and the status of one KSMScale up to date. The status also has the errors of the objects.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	ksmScale := &v1alpha1.KSMScale{}
	err := r.Client.Get(ctx, request.NamespacedName, ksmScale)
	if client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, err
	}
	if err != nil || ksmScale.DeletionTimestamp != nil {
		// The garbage collector deletes the objects.
		r.forget(request.Name)
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
	decision := partition.Decide(partition.Targets(planned, before), before, r.Clock.Now())
	applied := r.carryOut(ctx, planned.KSMScale, before, decision)
	after, err := r.observe(ctx, ksmScale)
	if err != nil {
		return ctrl.Result{}, errors.Join(applied.failures.Apply, applied.failures.Monitoring, err)
	}
	failures, nextScaling := applied.failures, time.Duration(0)
	if applied.autoscalersPruned {
		nextScaling, failures.Scale = r.scaleDirectly(ctx, planned, after)
	}
	err = r.writeStatus(ctx, ksmScale, decision, status.Compute(status.Input{
		KSMScale: ksmScale, Planned: planned, Snapshot: after, Decision: decision, Failures: failures,
		ExternalMetrics: externalMetrics(r.Registration.Err()), Adapter: r.Adapter, NodeKinds: r.NodeKinds.Kinds(), Now: wholeSeconds(r.Clock),
		ScaleDownNotBefore: r.scaleDownNotBefore(planned, after),
	}))
	if err := errors.Join(failures.Apply, failures.Scale, err); err != nil {
		return ctrl.Result{}, errors.Join(err, failures.Monitoring)
	}
	next := scaling.Sooner(scaling.Sooner(decision.RecheckAfter, nextScaling), after.Versions.RecheckAfter)
	if failures.Monitoring != nil && next > 0 {
		// An error would replace the time of the next step of shards by a growing delay.
		ctrl.LoggerFrom(ctx).Error(failures.Monitoring, "Objects of the Prometheus Operator are not as desired")
		return ctrl.Result{RequeueAfter: min(next, monitorsRetry)}, nil
	}
	return ctrl.Result{RequeueAfter: next}, failures.Monitoring
}

// forget drops the memories of a KSMScale that no longer exists.
func (r *Reconciler) forget(ksmScale string) {
	r.histories.forget(ksmScale)
	r.recommended.forget(ksmScale)
	r.retirements.forget(ksmScale)
	r.outcomes.forget(ksmScale)
	r.outdated.forget(ksmScale)
	r.reshardSteps.forget(ksmScale)
	r.Sizing.states.forget(ksmScale)
}

// observe takes a snapshot of a KSMScale.
func (r *Reconciler) observe(ctx context.Context, ksmScale *v1alpha1.KSMScale) (observation.Snapshot, error) {
	snapshot, err := observation.Reader{
		Client: r.Client, APIReader: r.APIReader, Versions: r.Versions, Autoscalers: r.Foreign, Budgets: r.Budgets, Monitors: r.Monitors,
		VerticalAutoscalers: r.VerticalAutoscalers, Measurements: r.Sizing.Measurements,
	}.Read(ctx, ksmScale)
	if err != nil {
		return observation.Snapshot{}, err
	}
	snapshot.RetiredSince = r.retirements.of(ksmScale.Name, snapshot.Services, r.Clock.Now())
	snapshot.Outdated = r.outdated.recall(ksmScale.Name)
	return snapshot, nil
}

// withWeights returns a copy of a KSMScale for the planner, with the current weights in its status.
func (r *Reconciler) withWeights(ksmScale *v1alpha1.KSMScale) *v1alpha1.KSMScale {
	updated := ksmScale.DeepCopy()
	if updated.Status.ShardingStatus == nil {
		updated.Status.ShardingStatus = &v1alpha1.ShardingStatus{}
	}
	updated.Status.ShardingStatus.Weights = r.Loads.Weights(ksmScale)
	return updated
}

// carriedOut is the result of carryOut.
type carriedOut struct {
	failures status.Failures
	// autoscalersPruned reports that no HorizontalPodAutoscaler of the KSMScale can interfere with mode Direct.
	autoscalersPruned bool
}

// carryOut applies and prunes the objects of a KSMScale by a decision. It removes autoscalers and rights even if another step fails. It
// removes shards only if every other step has succeeded, because the remaining shards must replace them.
func (r *Reconciler) carryOut(ctx context.Context, ksmScale *v1alpha1.KSMScale, before observation.Snapshot, decision partition.Decision) carriedOut {
	pruneErr := r.pruneAutoscalers(ctx, ksmScale)
	rightsErr := r.applyRights(ctx, ksmScale, before)
	outdated, shardsErr := r.applyShards(ctx, ksmScale, before, decision.Apply)
	r.outdated.renew(ksmScale.Name, func(sets.Set[v1alpha1.Shard]) sets.Set[v1alpha1.Shard] { return outdated })
	applyErr := errors.Join(pruneErr, rightsErr, shardsErr, r.applyOtherShards(ctx, ksmScale, before, decision))
	if applyErr == nil {
		applyErr = r.pruneShards(ctx, ksmScale, decision.Keep)
	}
	monitoringErr := r.applyMonitors(ctx, ksmScale, before.Monitoring)
	return carriedOut{status.Failures{Apply: applyErr, Monitoring: monitoringErr}, pruneErr == nil}
}

// wholeSeconds is the current time in whole seconds, as the API server stores it.
func wholeSeconds(source clock.PassiveClock) metav1.Time {
	return metav1.NewTime(source.Now()).Rfc3339Copy()
}
