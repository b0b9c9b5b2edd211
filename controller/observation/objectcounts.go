package observation

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// NotCounted is the count of a resource that could not be counted.
const NotCounted = -1

// ObjectCounter counts the objects of a cluster. It lists one object of a resource and reads how many remain, so a count costs one small
// request. The right to list is optional: ClusterRole ksmscale-object-counts grants it.
type ObjectCounter struct {
	Reader client.Reader
	Mapper meta.RESTMapper
}

// Count returns the number of objects of each resource, by the names that kube-state-metrics has for resources, such as pods. A resource
// that the API server does not have, or does not let the controller list, has NotCounted.
func (c ObjectCounter) Count(ctx context.Context, resources []string) map[string]int64 {
	counts := make(map[string]int64, len(resources))
	for _, resource := range resources {
		count, err := c.count(ctx, resource)
		if err != nil {
			count = NotCounted
			if !apierrors.IsForbidden(err) {
				log.FromContext(ctx).V(1).Info("Cannot count objects", "resource", resource, "reason", err.Error())
			}
		}
		counts[resource] = count
	}
	return counts
}

func (c ObjectCounter) count(ctx context.Context, resource string) (int64, error) {
	kind, err := c.Mapper.KindFor(schema.GroupVersionResource{Resource: resource})
	if err != nil {
		return 0, err
	}
	list := metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	if err := c.Reader.List(ctx, &list, client.Limit(1)); err != nil {
		return 0, err
	}
	count := int64(len(list.Items))
	if list.RemainingItemCount != nil {
		count += *list.RemainingItemCount
	}
	return count, nil
}
