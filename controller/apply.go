package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	policyv1ac "k8s.io/client-go/applyconfigurations/policy/v1"
	rbacv1ac "k8s.io/client-go/applyconfigurations/rbac/v1"
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

// applyAll makes the objects of a KSMScale as they are wanted, except Deployments whose rollout has to wait, which it returns the
// shards of. One that fails does not keep the others from being made; the errors are joined.
func (r *Reconciler) applyAll(ctx context.Context, ksmScale *v1alpha1.KSMScale, before observed, shards []scaling.Shard) (outdated sets.Set[v1alpha1.Shard], err error) {
	outdated = sets.New[v1alpha1.Shard]()
	a := applier{Reconciler: r, owner: ksmScale}
	var errs []error
	if ownsServiceAccount(ksmScale) {
		errs = append(errs, apply(ctx, a, serviceAccount(ksmScale), &corev1.ServiceAccount{}, corev1ac.ExtractServiceAccount))
		for _, binding := range clusterRoleBindings(ksmScale) {
			errs = append(errs, apply(ctx, a, binding, &rbacv1.ClusterRoleBinding{}, rbacv1ac.ExtractClusterRoleBinding))
		}
	}
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
func (r *Reconciler) applyOthers(ctx context.Context, ksmScale *v1alpha1.KSMScale, observed observed, is resharding) error {
	a := applier{Reconciler: r, owner: ksmScale}
	applied := sets.New[v1alpha1.Shard]()
	for _, shard := range is.apply {
		applied.Insert(shard.Shard)
	}
	var errs []error
	for _, shard := range observed.shards() {
		if applied.Has(shard) || !is.keep.Has(shard.Total) {
			continue
		}
		if is.retired.Has(shard.Total) {
			if observed.service(shard) != nil {
				errs = append(errs, apply(ctx, a, retiredService(ksmScale, shard), &corev1.Service{}, corev1ac.ExtractService))
			}
			continue
		}
		errs = append(errs, apply(ctx, a, service(ksmScale, shard), &corev1.Service{}, corev1ac.ExtractService))
		if observed.deployment(shard) != nil {
			errs = append(errs, applyForDeployment(ctx, a, shard))
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

// apply makes one object as it is wanted, by server-side apply, unless it is so already: fields that others own
// do not matter, and a field of ours that someone else has changed is no longer ours, and so differs. The live
// object is filled in with what there is.
func apply[Object client.Object, Configuration configuration[Configuration]](
	ctx context.Context, a applier, wanted Configuration, live Object,
	extract func(Object, string) (Configuration, error),
) error {
	kind, key := *wanted.GetKind(), client.ObjectKey{Namespace: ptr.Deref(wanted.GetNamespace(), ""), Name: *wanted.GetName()}
	err := a.Client.Get(ctx, key, live)
	if apierrors.IsNotFound(err) {
		// The cache has only objects with our label. This costs a request for each object that is created.
		err = a.APIReader.Get(ctx, key, live)
	}
	options := []client.ApplyOption{client.FieldOwner(FieldOwner)}
	switch {
	case apierrors.IsNotFound(err):
		// Without force, one that someone else creates at this moment with other values is a conflict.
	case err != nil:
		return fmt.Errorf("get %s %s: %w", kind, key.Name, err)
	case !metav1.IsControlledBy(live, a.owner):
		return notOwnedError{kind: kind, name: key.String()}
	default:
		owned, err := extract(live, FieldOwner)
		if err != nil {
			return fmt.Errorf("read the managed fields of %s %s: %w", kind, key.Name, err)
		}
		if equality.Semantic.DeepEqual(owned, wanted) {
			return nil
		}
		// One that has taken its place since is a conflict.
		wanted = wanted.WithUID(live.GetUID())
		options = append(options, client.ForceOwnership)
	}
	if err := a.Client.Apply(ctx, wanted, options...); err != nil {
		return fmt.Errorf("apply %s %s: %w", kind, key.Name, err)
	}
	return nil
}

// appliedAt is when the controller last changed what it wants of an object, by the clock of the API server, in whole seconds; the
// zero time if it never did.
func appliedAt(object client.Object) time.Time {
	for _, entry := range object.GetManagedFields() {
		if entry.Manager == FieldOwner && entry.Operation == metav1.ManagedFieldsOperationApply && entry.Subresource == "" && entry.Time != nil {
			return entry.Time.Time
		}
	}
	return time.Time{}
}
