package gate

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
)

// pageSize is how many objects one request lists. The metadata of an object takes a few kilobytes.
const pageSize = 500

// cluster lists objects of the API server with the service account of kube-state-metrics.
type cluster struct {
	metadata metadata.Interface
	shard    Shard
	// namespaces are the only namespaces that kube-state-metrics exports, and notNamespaces the namespaces that it leaves
	// out.
	namespaces, notNamespaces []string
	// limit is how many objects of each list kube-state-metrics takes, for all shards together; 0 is all.
	limit int64
}

// errLimit ends a list at the limit.
var errLimit = errors.New("kube-state-metrics takes no further objects")

// listed has the objects of one list, of the own shard and of other shards.
type listed struct{ own, others sets.Set[exposition.Object] }

// list lists a resource in one namespace, or in all.
func (c *cluster) list(ctx context.Context, kind exposition.Resource, namespace string) (listed, error) {
	objects := listed{own: sets.New[exposition.Object](), others: sets.New[exposition.Object]()}
	err := c.each(ctx, kind, namespace, func(meta *metav1.PartialObjectMetadata) {
		objects.of(c.shard.Has(meta.UID)).Insert(kind.Object(meta.Namespace, meta.Name))
	})
	if err != nil {
		return listed{}, err
	}
	return objects, nil
}

// each calls visit with the metadata of each object of a resource in one namespace, or in all. It reads only metadata, and has at
// most two pages in memory: the page that it reads, and the next page. It takes as many objects of each list as
// kube-state-metrics does. These are the same objects, because the API server sorts them. It returns the errors of the API
// server. An expired continue token ends the list, because a full list in one answer does not fit into a small container.
func (c *cluster) each(ctx context.Context, kind exposition.Resource, namespace string, visit func(*metav1.PartialObjectMetadata)) error {
	client := c.metadata.Resource(kind.GroupVersionResource).Namespace(namespace)
	pages := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		return client.List(ctx, options)
	})
	pages.PageSize, pages.PageBufferSize, pages.FullListIfExpired = pageSize, 0, false
	if c.limit > 0 {
		pages.PageSize = min(pages.PageSize, c.limit)
	}
	taken := int64(0)
	err := pages.EachListItem(ctx, metav1.ListOptions{FieldSelector: c.fieldSelector(kind)}, func(item runtime.Object) error {
		if taken++; c.limit > 0 && taken > c.limit {
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

func (l listed) of(own bool) sets.Set[exposition.Object] {
	if own {
		return l.own
	}
	return l.others
}

// namespacesOf are the namespaces in which kube-state-metrics lists a resource separately.
func (c *cluster) namespacesOf(kind exposition.Resource) []string {
	if !kind.Namespaced || len(c.namespaces) == 0 {
		return []string{metav1.NamespaceAll}
	}
	// With both options, kube-state-metrics removes the second namespaces from the first.
	return slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(c.namespaces))), func(namespace string) bool {
		return slices.Contains(c.notNamespaces, namespace)
	})
}

func (c *cluster) fieldSelector(kind exposition.Resource) string {
	if !kind.Namespaced || len(c.namespaces) > 0 {
		return ""
	}
	var not []fields.Selector
	for _, namespace := range c.notNamespaces {
		not = append(not, fields.OneTermNotEqualSelector("metadata.namespace", namespace))
	}
	return fields.AndSelectors(not...).String()
}
