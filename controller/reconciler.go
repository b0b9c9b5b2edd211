package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/plans"
)

// syncInterval is how often a KSMScale is looked at again until the nodes have been counted.
const syncInterval = time.Second

// Plans has the plan of a KSMScale, or plans.ErrNotSynced.
type Plans interface {
	One(ksmScale *v1alpha1.KSMScale) (plans.Planned, error)
}

// Reconciler makes the objects of a KSMScale, and writes its status.
type Reconciler struct {
	// Client reads from a cache that has what the controller itself has written.
	Client client.Client
	// APIReader reads from the API server.
	APIReader client.Reader
	Plans     Plans
	Recorder  events.EventRecorder
	Clock     clock.PassiveClock
	// Adapter is where the adapter is served.
	Adapter ServiceReference
	// Registration is how its registration with the API server goes.
	Registration *Registration
	// Versions knows which versions of kube-state-metrics run; nil if none is to be asked.
	Versions *Versions
	// GateImage is the image of the gate in each shard's pods: the controller's own.
	GateImage string
}

// Reconcile brings one KSMScale's objects and status up to date. Errors of objects are in the status as well.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	ksmScale := &v1alpha1.KSMScale{}
	if err := r.Client.Get(ctx, request.NamespacedName, ksmScale); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if ksmScale.DeletionTimestamp != nil {
		// The garbage collector deletes what it owns.
		return ctrl.Result{}, nil
	}
	planned, err := r.Plans.One(ksmScale)
	if errors.Is(err, plans.ErrNotSynced) {
		return ctrl.Result{RequeueAfter: syncInterval}, nil
	}
	if err != nil {
		return ctrl.Result{}, err
	}

	before, err := r.observe(ctx, ksmScale)
	if err != nil {
		return ctrl.Result{}, err
	}
	resharding := reshard(planned, before, r.Clock.Now())
	// Rights are taken away whatever else fails; shards only once those that replace them are there.
	applyErr := errors.Join(r.pruneBindings(ctx, ksmScale), r.applyAll(ctx, ksmScale, resharding.apply))
	if applyErr == nil {
		applyErr = r.pruneShards(ctx, ksmScale, resharding.keep)
	}
	after, err := r.observe(ctx, ksmScale)
	if err != nil {
		return ctrl.Result{}, errors.Join(applyErr, err)
	}
	status := r.status(ksmScale, planned, after, resharding, applyErr)
	return ctrl.Result{RequeueAfter: lookAgain(resharding, after)}, errors.Join(applyErr, r.writeStatus(ctx, ksmScale, status))
}

// lookAgain is when to reconcile again though nothing has changed; 0 for never.
func lookAgain(resharding resharding, observed observed) time.Duration {
	if resharding.settled == 0 && !observed.allVersions {
		return versionInterval
	}
	return resharding.settled
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
