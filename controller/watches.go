package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/util/workqueue"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/controller/partition"
	"github.com/example/ksmscale/nodes"
)

const (
	// ControllerName is the name of the controller of KSMScales in logs, metrics and events.
	ControllerName = "ksmscale"

	// nodeChangeDelay gathers bursts of node changes into one write of the status. In mode Direct the delay is directChangeDelay, because
	// there the controller scales.
	nodeChangeDelay   = time.Second
	directChangeDelay = 200 * time.Millisecond
	// reconcileTimeout bounds the wait for a cache that does not catch up with the writes of the controller.
	reconcileTimeout = time.Minute
	// After an error the controller retries within retryMax, even if a user has to fix the cause.
	retryMin, retryMax = 200 * time.Millisecond, time.Minute
)

// AddToManager fills in the fields that are not set. It configures the manager to call Reconcile after a change of a KSMScale, of one of its
// objects, of the nodes, or after a change that the channel announces.
func (r *Reconciler) AddToManager(manager ctrl.Manager, counter *nodes.Counter, changes changeChannel) error {
	if err := r.addClients(manager); err != nil {
		return err
	}
	if r.Recorder == nil {
		r.Recorder = manager.GetEventRecorder(ControllerName)
	}
	if r.Clock == nil {
		r.Clock = clock.RealClock{}
	}
	if r.Versions == nil {
		r.Versions = observation.NewVersions(r.Clock, changes.notify)
	}
	if err := r.addPollers(manager, changes.notify); err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(manager).
		Named(ControllerName).
		// The controller writes the status itself, which does not change the generation.
		For(&v1alpha1.KSMScale{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Owns(&appsv1.Deployment{}).
		Watches(&appsv1.Deployment{}, handler.EnqueueRequestsFromMapFunc(r.waitingKSMScales), builder.WithPredicates(turnEnded())).
		Owns(&corev1.Service{}).
		Owns(&autoscalingv2.HorizontalPodAutoscaler{}).
		Owns(&policyv1.PodDisruptionBudget{}).
		Owns(&corev1.ServiceAccount{}).
		Owns(&rbacv1.ClusterRoleBinding{}).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(ksmScaleOf), builder.WithPredicates(podChanged())).
		Watches(&apiregistrationv1.APIService{}, handler.EnqueueRequestsFromMapFunc(r.allKSMScales)).
		WatchesRawSource(source.Channel(nodeChanges(counter), r.afterNodeChange())).
		WatchesRawSource(source.Channel(changes, handler.EnqueueRequestsFromMapFunc(r.allKSMScales))).
		WithOptions(controllerOptions(r.Concurrent)).
		Complete(r)
}

// addClients fills in the clients.
func (r *Reconciler) addClients(manager ctrl.Manager) error {
	if r.Client == nil {
		r.Client = manager.GetClient()
	}
	if r.APIReader == nil {
		r.APIReader = manager.GetAPIReader()
	}
	if r.Uncached != nil {
		return nil
	}
	var err error
	r.Uncached, err = client.New(manager.GetConfig(), client.Options{
		HTTPClient: manager.GetHTTPClient(), Scheme: manager.GetScheme(), Mapper: manager.GetRESTMapper(),
	})
	if err != nil {
		return fmt.Errorf("create a client without a cache: %w", err)
	}
	return nil
}

// addPollers fills in the pollers of objects that are not watched, and adds them to the manager.
func (r *Reconciler) addPollers(manager ctrl.Manager, notify func()) error {
	if r.Foreign == nil {
		r.Foreign = observation.NewForeignAutoscalers(manager.GetCache(), r.APIReader, clock.RealClock{}, notify)
	}
	if r.Budgets == nil {
		r.Budgets = observation.NewForeignBudgets(manager.GetCache(), r.APIReader, clock.RealClock{}, notify)
	}
	kinds, err := discovery.NewDiscoveryClientForConfigAndClient(manager.GetConfig(), manager.GetHTTPClient())
	if err != nil {
		return fmt.Errorf("create a discovery client: %w", err)
	}
	if r.VerticalAutoscalers == nil {
		r.VerticalAutoscalers = observation.NewVerticalAutoscalers(kinds, manager.GetCache(), r.APIReader, clock.RealClock{}, notify)
	}
	if r.Monitors == nil {
		r.Monitors = observation.NewMonitors(kinds, manager.GetCache(), r.APIReader, clock.RealClock{}, notify)
	}
	if err := errors.Join(manager.Add(r.Foreign), manager.Add(r.VerticalAutoscalers), manager.Add(r.Budgets), manager.Add(r.Monitors)); err != nil {
		return fmt.Errorf("add the pollers: %w", err)
	}
	return nil
}

// controllerOptions are the options of both controllers.
func controllerOptions(concurrent int) controller.Options {
	return controller.Options{
		MaxConcurrentReconciles: concurrent,
		ReconciliationTimeout:   reconcileTimeout,
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](retryMin, retryMax),
	}
}

// changeChannel announces that something has changed that all KSMScales depend on. It has at most one event, which stands for all changes
// since the last event was received.
type changeChannel chan event.GenericEvent

func newChanges() changeChannel { return make(changeChannel, 1) }

// notify announces a change. It never blocks.
func (c changeChannel) notify() {
	select {
	case c <- event.GenericEvent{Object: &v1alpha1.KSMScale{}}:
	default: // The waiting event stands for this change too.
	}
}

// nodeChanges announces changes of the nodes.
func nodeChanges(counter *nodes.Counter) changeChannel {
	changes := newChanges()
	counter.OnChange(changes.notify)
	return changes
}

// afterNodeChange reconciles all KSMScales after the delay of their mode.
func (r *Reconciler) afterNodeChange() handler.EventHandler {
	return handler.Funcs{GenericFunc: func(ctx context.Context, _ event.GenericEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		for _, ksmScale := range r.listKSMScales(ctx) {
			delay := nodeChangeDelay
			if ksmScale.Spec.AutoscalingMode() == v1alpha1.ModeDirect {
				delay = directChangeDelay
			}
			queue.AddAfter(requestFor(ksmScale.Name), delay)
		}
	}}
}

// allKSMScales requests a reconcile of every KSMScale.
func (r *Reconciler) allKSMScales(ctx context.Context, _ client.Object) []reconcile.Request {
	var requests []reconcile.Request
	for _, ksmScale := range r.listKSMScales(ctx) {
		requests = append(requests, requestFor(ksmScale.Name))
	}
	return requests
}

// waitingKSMScales requests a reconcile of every KSMScale with a shard that waits for its turn. A change of the replicas of a Deployment also
// looks like a turn, so the result is usually empty.
func (r *Reconciler) waitingKSMScales(context.Context, client.Object) []reconcile.Request {
	var requests []reconcile.Request
	for _, name := range r.outdated.names(func(shards sets.Set[v1alpha1.Shard]) bool { return shards.Len() > 0 }) {
		requests = append(requests, requestFor(name))
	}
	return requests
}

// listKSMScales lists all KSMScales, or logs an error.
func (r *Reconciler) listKSMScales(ctx context.Context) []v1alpha1.KSMScale {
	var list v1alpha1.KSMScaleList
	// A stale status does not matter here. A read of our own writes could wait without end, because this context has no deadline.
	if err := r.Client.List(ctx, &list, client.DisableReadYourWritesConsistency); err != nil {
		log.FromContext(ctx).Error(err, "Cannot list KSMScales, so their status may lag behind the nodes")
		return nil
	}
	return list.Items
}

// ksmScaleOf requests a reconcile of the KSMScale that the label of an object names.
func ksmScaleOf(_ context.Context, object client.Object) []reconcile.Request {
	return []reconcile.Request{requestFor(object.GetLabels()[v1alpha1.LabelKSMScale])}
}

func requestFor(ksmScale string) reconcile.Request {
	return reconcile.Request{NamespacedName: client.ObjectKey{Name: ksmScale}}
}

// podChanged passes changes of the fields that the status depends on.
func podChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*corev1.Pod)
		after, okAfter := e.ObjectNew.(*corev1.Pod)
		if !ok || !okAfter {
			panic(fmt.Sprintf("an update event of a pod has %T and %T", e.ObjectOld, e.ObjectNew))
		}
		return !equality.Semantic.DeepEqual(before.Status, after.Status) ||
			!equality.Semantic.DeepEqual(before.Labels, after.Labels) ||
			!equality.Semantic.DeepEqual(before.OwnerReferences, after.OwnerReferences) ||
			before.DeletionTimestamp.IsZero() != after.DeletionTimestamp.IsZero()
	}}
}

// turnEnded passes events after which a shard of another KSMScale can start a rollout.
func turnEnded() predicate.Predicate {
	takes := func(object client.Object) bool {
		deployment, ok := object.(*appsv1.Deployment)
		if !ok {
			panic(fmt.Sprintf("an event of a Deployment has a %T", object))
		}
		return partition.TakesTurn(deployment)
	}
	return predicate.Funcs{
		CreateFunc:  func(event.CreateEvent) bool { return false },
		UpdateFunc:  func(e event.UpdateEvent) bool { return takes(e.ObjectOld) && !takes(e.ObjectNew) },
		DeleteFunc:  func(e event.DeleteEvent) bool { return takes(e.Object) },
		GenericFunc: func(event.GenericEvent) bool { return false },
	}
}
