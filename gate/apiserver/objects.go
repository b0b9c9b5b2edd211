package apiserver

import (
	"context"
	"errors"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/pager"

	"github.com/example/ksmscale/gate/exposition"
	"github.com/example/ksmscale/gate/sharding"
)

// pageSize is how many objects one request lists. The metadata of an object takes a few kilobytes.
const pageSize = 500

// Objects lists and counts the objects of the API server with the service account of kube-state-metrics.
type Objects struct {
	Metadata metadata.Interface
	// Shard is the shard whose objects List tells from the others.
	Shard sharding.Shard
	// Namespaces are the only namespaces that kube-state-metrics exports; empty for all. NamespacesDenylist are the
	// namespaces that it leaves out.
	Namespaces, NamespacesDenylist []string
	// Limit is how many objects of each list kube-state-metrics takes, for all shards together; 0 is all.
	Limit int64
}

// errLimit ends a list at the limit.
var errLimit = errors.New("kube-state-metrics takes no further objects")

// Listed has the objects of one list, of the own shard and of other shards.
type Listed struct{ Own, Others sets.Set[exposition.Object] }

// List lists a resource in one namespace, or in all.
func (o *Objects) List(ctx context.Context, kind exposition.Resource, namespace string) (Listed, error) {
	objects := Listed{Own: sets.New[exposition.Object](), Others: sets.New[exposition.Object]()}
	err := o.Each(ctx, kind, namespace, func(meta *metav1.PartialObjectMetadata) {
		objects.of(o.Shard.Has(meta.UID)).Insert(kind.Object(meta.Namespace, meta.Name))
	})
	if err != nil {
		return Listed{}, err
	}
	return objects, nil
}

// Each calls visit with the metadata of each object of a resource in one namespace, or in all. It reads only metadata, and has at
// most two pages in memory: the page that it reads, and the next page. It takes as many objects of each list as
// kube-state-metrics does. These are the same objects, because the API server sorts them. It returns the errors of the API
// server. An expired continue token ends the list, because a full list in one answer does not fit into a small container.
func (o *Objects) Each(ctx context.Context, kind exposition.Resource, namespace string, visit func(*metav1.PartialObjectMetadata)) error {
	client := o.Metadata.Resource(kind.GroupVersionResource).Namespace(namespace)
	pages := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		return client.List(ctx, options)
	})
	pages.PageSize, pages.PageBufferSize, pages.FullListIfExpired = pageSize, 0, false
	if o.Limit > 0 {
		pages.PageSize = min(pages.PageSize, o.Limit)
	}
	taken := int64(0)
	err := pages.EachListItem(ctx, metav1.ListOptions{FieldSelector: o.fieldSelector(kind)}, func(item runtime.Object) error {
		if taken++; o.Limit > 0 && taken > o.Limit {
			return errLimit
		}
		meta, ok := item.(*metav1.PartialObjectMetadata)
		if !ok {
			return fmt.Errorf("a list of metadata has a %T", item)
		}
		visit(meta)
		return nil
	})
	if err != nil && !errors.Is(err, errLimit) {
		return fmt.Errorf("list %s: %w", kind.In(namespace), err)
	}
	return nil
}

func (l Listed) of(own bool) sets.Set[exposition.Object] {
	if own {
		return l.Own
	}
	return l.Others
}

// NamespacesOf are the namespaces in which kube-state-metrics lists a resource separately.
func (o *Objects) NamespacesOf(kind exposition.Resource) []string {
	if !kind.Namespaced || len(o.Namespaces) == 0 {
		return []string{metav1.NamespaceAll}
	}
	// With both options, kube-state-metrics removes the second namespaces from the first.
	return slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(o.Namespaces))), func(namespace string) bool {
		return slices.Contains(o.NamespacesDenylist, namespace)
	})
}

func (o *Objects) fieldSelector(kind exposition.Resource) string {
	if !kind.Namespaced || len(o.Namespaces) > 0 {
		return ""
	}
	var not []fields.Selector
	for _, namespace := range o.NamespacesDenylist {
		not = append(not, fields.OneTermNotEqualSelector("metadata.namespace", namespace))
	}
	return fields.AndSelectors(not...).String()
}
