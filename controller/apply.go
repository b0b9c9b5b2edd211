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

// applier applies the objects of one KSMScale.
type applier struct {
	*Reconciler
	// Client is the one to read and write these objects with.
	Client client.Client
	owner  *v1alpha1.KSMScale
}

// apply applies one object by server-side apply, unless the apply would change nothing. It compares only the fields that the controller owns.
// When someone else changes such a field, the controller no longer owns it, so the comparison finds a difference.
func apply[T any, Object pointer[T], Configuration configuration[Configuration]](
	ctx context.Context, a applier, desired Configuration, live Object,
	extract func(Object, string) (Configuration, error),
) error {
	kind, key := *desired.GetKind(), client.ObjectKey{Namespace: ptr.Deref(desired.GetNamespace(), ""), Name: *desired.GetName()}
	err := a.Client.Get(ctx, key, live)
	if apierrors.IsNotFound(err) {
		// The cache has only objects with our label. The extra request happens once for each created object.
		err = a.APIReader.Get(ctx, key, live)
	}
	applied := objects.Digest(desired)
	options := []client.ApplyOption{client.FieldOwner(objects.FieldOwner)}
	switch {
	case apierrors.IsNotFound(err):
		// Without force, an object that someone else has just created with other values is a conflict.
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
		// The UID makes a new object of the same name a conflict.
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
	// The response is in desired now. If someone else has changed the object since, the read does not show our outcome.
	if owned, err := extract(after, objects.FieldOwner); err == nil && after.GetResourceVersion() == objects.ResourceVersionOf(desired) {
		a.outcomes.of(a.owner.Name)[outcomeID(kind, key)] = objects.Outcome{Applied: applied, Kept: objects.Digest(owned)}
	}
	return nil
}

// isApplied reports whether an apply would change nothing, given the fields that the controller owns.
func (a applier) isApplied(owned, desired named) bool {
	key := client.ObjectKey{Namespace: ptr.Deref(desired.GetNamespace(), ""), Name: *desired.GetName()}
	last := a.outcomes.of(a.owner.Name)[outcomeID(*desired.GetKind(), key)]
	return equality.Semantic.DeepEqual(owned, desired) || last == objects.Outcome{Applied: objects.Digest(desired), Kept: objects.Digest(owned)}
}

// named identifies the object of an apply configuration.
type named interface {
	GetKind() *string
	GetName() *string
	GetNamespace() *string
}

// configuration is any apply configuration. C is the type itself.
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
