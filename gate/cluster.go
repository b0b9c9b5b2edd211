package gate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/pager"
)

// cluster reads what the API server has, under the service account of kube-state-metrics.
type cluster struct {
	metadata metadata.Interface
	share    Share
	// client sends requests to the API server at the URL host.
	client *http.Client
	host   string
	// namespaces are what kube-state-metrics is limited to, if anything, and notNamespaces what it leaves out.
	namespaces, notNamespaces []string
	// limit is how many objects kube-state-metrics takes of each list, of all shards; 0 is all.
	limit int64
}

// errLimit ends a list.
var errLimit = errors.New("kube-state-metrics takes no more objects")

// objects returns the objects of a resource that belong to the share. It reads their metadata only, a page at a
// time, so that no more than a page is held at once. The errors are those of the API server. Of each list it takes as
// many objects as kube-state-metrics does, which are the same ones, since the API server sorts them.
func (c *cluster) objects(ctx context.Context, of resource) (sets.Set[object], error) {
	objects := sets.New[object]()
	for _, namespace := range c.namespacesOf(of) {
		client := c.metadata.Resource(of.groupVersionResource).Namespace(namespace)
		pages := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return client.List(ctx, options)
		})
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
			if c.share.Has(meta.UID) {
				objects.Insert(of.object(meta.Namespace, meta.Name))
			}
			return nil
		})
		if err != nil && !errors.Is(err, errLimit) {
			return nil, fmt.Errorf("list %s: %w", of.name, err)
		}
	}
	return objects, nil
}

func (c *cluster) namespacesOf(of resource) []string {
	if !of.namespaced || len(c.namespaces) == 0 {
		return []string{metav1.NamespaceAll}
	}
	// kube-state-metrics that is given both leaves out the ones of the others.
	return slices.DeleteFunc(slices.Clone(c.namespaces), func(namespace string) bool {
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

// contact returns an error if the API server does not answer. Any answer will do, an error too: readiness must not
// depend on how an overloaded API server feels.
func (c *cluster) contact(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.host+"/version", nil)
	if err != nil {
		return fmt.Errorf("ask the API server: %w", err)
	}
	response, err := c.client.Do(request)
	if err != nil {
		return fmt.Errorf("the API server does not answer: %w", err)
	}
	return response.Body.Close()
}
