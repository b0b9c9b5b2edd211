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
)

// pageSize is how many objects one request lists. The metadata of an object takes a few kilobytes.
const pageSize = 500

// cluster lists what the API server has, under the service account of kube-state-metrics.
type cluster struct {
	metadata metadata.Interface
	share    Share
	// namespaces are what kube-state-metrics is limited to, if anything, and notNamespaces what it leaves out.
	namespaces, notNamespaces []string
	// limit is how many objects kube-state-metrics takes of each list, of all shards; 0 is all.
	limit int64
}

// errLimit ends a list.
var errLimit = errors.New("kube-state-metrics takes no more objects")

// listed is what one list has: the objects of the own share, and those that belong to other shards.
type listed struct{ own, others sets.Set[object] }

// list lists a resource in one namespace, or in all. It reads metadata only, and holds at most two pages at once: one that is
// being read, and the next one on its way. Of each list it takes as many objects as kube-state-metrics does, which are the same
// ones, because the API server sorts them. The errors are those of the API server; one that has forgotten where the next page
// begins ends the list, because the alternative, the rest in a single answer, does not fit into a small container.
func (c *cluster) list(ctx context.Context, of resource, namespace string) (listed, error) {
	objects := listed{own: sets.New[object](), others: sets.New[object]()}
	client := c.metadata.Resource(of.groupVersionResource).Namespace(namespace)
	pages := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		return client.List(ctx, options)
	})
	pages.PageSize, pages.PageBufferSize, pages.FullListIfExpired = pageSize, 0, false
	if c.limit > 0 {
		pages.PageSize = min(pages.PageSize, c.limit)
	}
	taken := int64(0)
	err := pages.EachListItem(ctx, metav1.ListOptions{FieldSelector: c.fieldSelector(of)}, func(item runtime.Object) error {
		if taken++; c.limit > 0 && taken > c.limit {
			return errLimit
		}
		meta, ok := item.(*metav1.PartialObjectMetadata)
		if !ok {
			return fmt.Errorf("a list of metadata has a %T", item)
		}
		objects.of(c.share.Has(meta.UID)).Insert(of.object(meta.Namespace, meta.Name))
		return nil
	})
	if err != nil && !errors.Is(err, errLimit) {
		return listed{}, fmt.Errorf("list %s: %w", of.in(namespace), err)
	}
	return objects, nil
}

func (l listed) of(own bool) sets.Set[object] {
	if own {
		return l.own
	}
	return l.others
}

// namespacesOf are the namespaces that kube-state-metrics lists a resource in, each on its own.
func (c *cluster) namespacesOf(of resource) []string {
	if !of.namespaced || len(c.namespaces) == 0 {
		return []string{metav1.NamespaceAll}
	}
	// kube-state-metrics that is given both leaves out the ones of the others.
	return slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(c.namespaces))), func(namespace string) bool {
		return slices.Contains(c.notNamespaces, namespace)
	})
}

func (c *cluster) fieldSelector(of resource) string {
	if !of.namespaced || len(c.namespaces) > 0 {
		return ""
	}
	var not []fields.Selector
	for _, namespace := range c.notNamespaces {
		not = append(not, fields.OneTermNotEqualSelector("metadata.namespace", namespace))
	}
	return fields.AndSelectors(not...).String()
}
