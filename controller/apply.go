package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	policyv1ac "k8s.io/client-go/applyconfigurations/policy/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/scaling"
)

// notOwnedError is returned instead of taking over an object that someone else made.
type notOwnedError struct{ kind, name string }

func (e notOwnedError) Error() string {
	return fmt.Sprintf("%s %s exists and was not made for this KSMScale: delete or rename it, or create the KSMScale under another name", e.kind, e.name)
}

// applyAll makes the objects of shards as they are wanted, except Deployments whose rollout has to wait, which it returns the
// shards of. One that fails does not keep the others from being made; the errors are joined.
func (r *Reconciler) applyAll(ctx context.Context, ksmScale *v1alpha1.KSMScale, before observed, shards []scaling.Shard) (outdated sets.Set[v1alpha1.Shard], err error) {
	outdated = sets.New[v1alpha1.Shard]()
	a := applier{Reconciler: r, owner: ksmScale}
	var errs []error
	for _, planned := range shards {
		shard := planned.Shard
		waits, err := a.applyDeployment(ctx, planned, &before)
		if waits {
			outdated.Insert(shard)
		}
		errs = append(errs, err,
			apply(ctx, a, service(ksmScale, shard), &corev1.Service{}, corev1ac.ExtractService),
			applyForDeployment(ctx, a, shard))
	}
	return outdated, errors.Join(errs...)
}

// applyForDeployment makes what a shard has because of its Deployment.
func applyForDeployment(ctx context.Context, a applier, shard v1alpha1.Shard) error {
	err := apply(ctx, a, disruptionBudget(a.owner, shard), &policyv1.PodDisruptionBudget{}, policyv1ac.ExtractPodDisruptionBudget)
	if a.owner.Spec.AutoscalingMode() != v1alpha1.ModeHorizontalPodAutoscaler {
		return err
	}
	return errors.Join(err, applyAutoscaler(ctx, a, shard))
}

// applyOthers makes what shards need that run and are not applied as a whole: until those that are wanted have taken over they may
// lose it, or have been retired before, or the mode may change. Their Deployments stay as they are. Of those that are retired,
// there only remains to be said so.
func (r *Reconciler) applyOthers(ctx context.Context, ksmScale *v1alpha1.KSMScale, observed observed, decision Decision) error {
	a := applier{Reconciler: r, owner: ksmScale}
	applied := sets.New[v1alpha1.Shard]()
	for _, shard := range decision.Apply {
		applied.Insert(shard.Shard)
	}
	var errs []error
	for _, shard := range observed.shards() {
		if applied.Has(shard) || !decision.Keep.Has(shard.Total) {
			continue
		}
		if decision.Retired.Has(shard.Total) {
			if observed.service(shard) != nil {
				errs = append(errs, apply(ctx, a, retiredService(ksmScale, shard), &corev1.Service{}, corev1ac.ExtractService))
			}
			continue
		}
		errs = append(errs, apply(ctx, a, service(ksmScale, shard), &corev1.Service{}, corev1ac.ExtractService))
		if deployment := observed.deployment(shard); deployment != nil {
			errs = append(errs, adopt(ctx, a, deployment), applyForDeployment(ctx, a, shard))
		}
	}
	return errors.Join(errs...)
}

// applier applies the objects of one owner.
type applier struct {
	*Reconciler
	owner *v1alpha1.KSMScale
}

// configuration is any apply configuration; C is itself.
type configuration[C any] interface {
	runtime.ApplyConfiguration
	GetKind() *string
	GetName() *string
	GetNamespace() *string
	WithUID(uid types.UID) C
}

// pointer is the pointer type of an object.
type pointer[T any] interface {
	*T
	client.Object
}

// apply applies one object, by server-side apply, unless that would change nothing: fields that others own do not matter, and a
// field of ours that someone else has changed is no longer ours, and so differs.
func apply[T any, Object pointer[T], Configuration configuration[Configuration]](
	ctx context.Context, a applier, desired Configuration, live Object,
	extract func(Object, string) (Configuration, error),
) error {
	kind, key := *desired.GetKind(), client.ObjectKey{Namespace: ptr.Deref(desired.GetNamespace(), ""), Name: *desired.GetName()}
	err := a.Client.Get(ctx, key, live)
	if apierrors.IsNotFound(err) {
		// The cache has only objects with our label. This costs a request for each object that is created.
		err = a.APIReader.Get(ctx, key, live)
	}
	applied := digest(desired)
	options := []client.ApplyOption{client.FieldOwner(FieldOwner)}
	switch {
	case apierrors.IsNotFound(err):
		// Without force, one that someone else creates at this moment with other values is a conflict.
	case err != nil:
		return fmt.Errorf("get %s %s: %w", kind, key.Name, err)
	case !isOurs(live, a.owner):
		return notOwnedError{kind: kind, name: key.String()}
	default:
		owned, err := extract(live, FieldOwner)
		if err != nil {
			return fmt.Errorf("read the managed fields of %s %s: %w", kind, key.Name, err)
		}
		if a.isApplied(owned, desired) {
			return nil
		}
		// One that has taken its place since is a conflict.
		desired = desired.WithUID(live.GetUID())
		options = append(options, client.ForceOwnership)
	}
	if err := a.Client.Apply(ctx, desired, options...); err != nil {
		return fmt.Errorf("apply %s %s: %w", kind, key.Name, err)
	}
	after := Object(new(T))
	if err := a.Client.Get(ctx, key, after); err != nil {
		return fmt.Errorf("get %s %s: %w", kind, key.Name, err)
	}
	// The configuration has the response now. What someone else has changed since is no outcome of ours.
	if owned, err := extract(after, FieldOwner); err == nil && after.GetResourceVersion() == versionOf(desired) {
		a.outcomes.of(a.owner.Name)[outcomeID(kind, key)] = outcome{applied: applied, kept: digest(owned)}
	}
	return nil
}

// named is what identifies the object of an apply configuration.
type named interface {
	GetKind() *string
	GetName() *string
	GetNamespace() *string
}

// isApplied tells whether to apply a configuration would change nothing of what the controller owns of an object.
func (a applier) isApplied(owned, desired named) bool {
	key := client.ObjectKey{Namespace: ptr.Deref(desired.GetNamespace(), ""), Name: *desired.GetName()}
	last := a.outcomes.of(a.owner.Name)[outcomeID(*desired.GetKind(), key)]
	return equality.Semantic.DeepEqual(owned, desired) || last == outcome{applied: digest(desired), kept: digest(owned)}
}

// versionOf is the resource version in the response to an apply configuration.
func versionOf(response any) string {
	return as[metav1.PartialObjectMetadata](response).ResourceVersion
}

// appliedAt is when the controller last changed what it wants of an object, by the clock of the API server, in whole seconds; the
// zero time if it never did.
func appliedAt(object client.Object) time.Time {
	if entry := appliedEntry(object); entry != nil && entry.Time != nil {
		return entry.Time.Time
	}
	return time.Time{}
}

// appliedEntry has the fields of an object that the controller applied; nil if it never did.
func appliedEntry(object client.Object) *metav1.ManagedFieldsEntry {
	for _, entry := range object.GetManagedFields() {
		if entry.Manager == FieldOwner && entry.Operation == metav1.ManagedFieldsOperationApply && entry.Subresource == "" {
			return &entry
		}
	}
	return nil
}
