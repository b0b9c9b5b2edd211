package apiserver

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/flowcontrol"

	"github.com/example/ksmscale/gate/exposition"
)

// Requests is how many requests count the resources once.
func (o *Objects) Requests(kinds []exposition.Resource) int {
	requests := 0
	for _, kind := range kinds {
		requests += len(o.NamespacesOf(kind)) + len(o.deniedOf(kind))
	}
	return requests
}

// Count counts the objects of a resource in the cluster, without those that kube-state-metrics leaves out. It returns an
// error if one request fails. A namespace whose list is refused does not count, unless all are.
func (o *Objects) Count(ctx context.Context, kind exposition.Resource, limiter flowcontrol.RateLimiter) (int64, error) {
	total, refused := int64(0), error(nil)
	namespaces := o.NamespacesOf(kind)
	listed := len(namespaces)
	for _, namespace := range namespaces {
		count, err := o.countIn(ctx, kind, namespace, limiter)
		if IsRefused(err) {
			refused, listed = err, listed-1
			continue
		}
		if err != nil {
			return 0, err
		}
		total += count
	}
	if listed == 0 {
		return 0, refused
	}
	// A field selector would hide how many objects remain, so denied namespaces are subtracted.
	for _, namespace := range o.deniedOf(kind) {
		count, err := o.countIn(ctx, kind, namespace, limiter)
		if err != nil {
			return 0, err
		}
		total -= count
	}
	return total, nil
}

// countIn counts the objects of a resource in a namespace, or in all. The answer has one object, and the number of the
// others. It is exact because the request has no resource version.
func (o *Objects) countIn(ctx context.Context, kind exposition.Resource, namespace string, limiter flowcontrol.RateLimiter) (int64, error) {
	if err := limiter.Wait(ctx); err != nil {
		return 0, fmt.Errorf("count %s: %w", kind.In(namespace), err)
	}
	list, err := o.Metadata.Resource(kind.GroupVersionResource).Namespace(namespace).List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return 0, fmt.Errorf("count %s: %w", kind.In(namespace), err)
	}
	count, err := CountOf(list)
	if err != nil {
		return 0, fmt.Errorf("count %s: %w", kind.In(namespace), err)
	}
	return count, nil
}

// CountOf returns the number of objects from the first page of their list. It returns an error if the list has more pages and no number.
func CountOf(list *metav1.PartialObjectMetadataList) (int64, error) {
	count := int64(len(list.Items))
	switch {
	case list.RemainingItemCount != nil:
		return count + *list.RemainingItemCount, nil
	case list.Continue != "":
		return 0, errNoRemainingItemCount
	default:
		return count, nil
	}
}

var errNoRemainingItemCount = errors.New("the API server does not report how many objects remain")

// IsRefused reports whether the API server refuses a list to the service account, or does not have the resource.
// kube-state-metrics cannot list it either.
func IsRefused(err error) bool { return apierrors.IsForbidden(err) || apierrors.IsNotFound(err) }

// deniedOf are the namespaces whose objects to subtract from all objects of a resource.
func (o *Objects) deniedOf(kind exposition.Resource) []string {
	if !kind.Namespaced || len(o.Namespaces) > 0 {
		return nil
	}
	return sets.List(sets.New(o.NamespacesDenylist...))
}
