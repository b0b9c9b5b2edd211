package objectcounts

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/example/ksmscale/gate/apiserver"
	"github.com/example/ksmscale/gate/exposition"
)

// NotCounted is the count of a resource that could not be counted.
const NotCounted = -1

// countedFor is how long a count is used again. KSMScales that are created together start with the same counts.
const countedFor = 10 * time.Second

// Counter counts the objects of a cluster. It lists one object of a resource and reads how many remain, so a count costs one small
// request. The right to list is optional: ClusterRole ksmscale-object-counts grants it. Create it with NewCounter.
type Counter struct {
	reader client.Reader
	mapper meta.RESTMapper

	// counting is locked while objects are counted, so that two callers do not count the same ones.
	counting sync.Mutex
	// counted has the count of each resource for as long as it is used again.
	counted *cache.Expiring
}

// NewCounter returns a Counter that reads from the API server.
func NewCounter(reader client.Reader, mapper meta.RESTMapper, source clock.Clock) *Counter {
	return &Counter{reader: reader, mapper: mapper, counted: cache.NewExpiringWithClock(source)}
}

// Count returns the number of objects of each resource, by the names that kube-state-metrics has for resources, such as pods. A resource
// that the API server does not have, or does not let the controller list, has NotCounted. Counts may be up to ten seconds old.
func (c *Counter) Count(ctx context.Context, resources []string) map[string]int64 {
	c.counting.Lock()
	defer c.counting.Unlock()
	counts := make(map[string]int64, len(resources))
	for _, resource := range resources {
		counts[resource] = c.recentCount(ctx, resource)
	}
	return counts
}

// recentCount counts unless there is a recent count. After a failure that may pass, the next call counts again.
func (c *Counter) recentCount(ctx context.Context, resource string) int64 {
	if recent, ok := c.counted.Get(resource); ok {
		return recent.(int64)
	}
	count, err := c.count(ctx, resource)
	if err != nil {
		count = NotCounted
		if !apierrors.IsForbidden(err) {
			log.FromContext(ctx).V(1).Info("Cannot count objects", "resource", resource, "reason", err.Error())
		}
	}
	if err == nil || apierrors.IsForbidden(err) || meta.IsNoMatchError(err) {
		c.counted.Set(resource, count, countedFor)
	}
	return count
}

func (c *Counter) count(ctx context.Context, resource string) (int64, error) {
	// Other API groups have resources of the same names.
	kind, err := c.mapper.KindFor(exposition.Resources[resource].GroupVersionResource)
	if err != nil {
		return 0, err
	}
	list := metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	if err := c.reader.List(ctx, &list, client.Limit(1)); err != nil {
		return 0, err
	}
	return apiserver.CountOf(&list)
}
