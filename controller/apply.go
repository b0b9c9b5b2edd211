package controller

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/controller/status"
)

// applier applies the objects of one owner.
type applier struct {
	*Reconciler
	owner *v1alpha1.KSMScale
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
	applied := objects.Digest(desired)
	options := []client.ApplyOption{client.FieldOwner(objects.FieldOwner)}
	switch {
	case apierrors.IsNotFound(err):
		// Without force, one that someone else creates at this moment with other values is a conflict.
	case err != nil:
		return fmt.Errorf("get %s %s: %w", kind, key.Name, err)
	case !observation.IsOwnedBy(live, a.owner):
		return status.NotOwnedError{Kind: kind, Name: key.String()}
	default:
		owned, err := extract(live, objects.FieldOwner)
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
	if owned, err := extract(after, objects.FieldOwner); err == nil && after.GetResourceVersion() == objects.ResourceVersionOf(desired) {
		a.outcomes.of(a.owner.Name)[outcomeID(kind, key)] = objects.Outcome{Applied: applied, Kept: objects.Digest(owned)}
	}
	return nil
}

// isApplied tells whether to apply a configuration would change nothing of what the controller owns of an object.
func (a applier) isApplied(owned, desired named) bool {
	key := client.ObjectKey{Namespace: ptr.Deref(desired.GetNamespace(), ""), Name: *desired.GetName()}
	last := a.outcomes.of(a.owner.Name)[outcomeID(*desired.GetKind(), key)]
	return equality.Semantic.DeepEqual(owned, desired) || last == objects.Outcome{Applied: objects.Digest(desired), Kept: objects.Digest(owned)}
}

// named is what identifies the object of an apply configuration.
type named interface {
	GetKind() *string
	GetName() *string
	GetNamespace() *string
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
