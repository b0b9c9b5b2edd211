package nodes

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
)

// ListerWatcher returns a client that lists and watches the nodes of a cluster as protobuf.
func ListerWatcher(config *rest.Config, client *http.Client) (toolscache.ListerWatcher, error) {
	config = rest.CopyConfig(config)
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	config.ContentType = runtime.ContentTypeProtobuf
	core, err := typedcorev1.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("create a client of nodes: %w", err)
	}
	return toolscache.NewListWatchFromClient(core.RESTClient(), "nodes", metav1.NamespaceAll, fields.Everything()), nil
}

// Run lists and watches nodes until the context is done. When a spec names a label for the first time, it lists them
// again, and the previous watch continues until that has succeeded. So there are at most two lists at a time.
func (c *Counter) Run(ctx context.Context, nodes toolscache.ListerWatcher) {
	var watches sync.WaitGroup
	defer watches.Wait()
	stopPrevious := func() {}
	for ctx.Err() == nil {
		listing := c.Listing()
		watching, stop := context.WithCancel(ctx)
		reflector := toolscache.NewReflectorWithOptions(nodes, &corev1.Node{}, listing, toolscache.ReflectorOptions{Name: "nodes"})
		watches.Go(func() { reflector.RunWithContext(watching) })
		select {
		case <-listing.listed:
		case <-ctx.Done():
		}
		stopPrevious()
		stopPrevious = stop
		c.waitForLabels(ctx, listing)
	}
	stopPrevious()
}

// waitForLabels returns when some spec names a label that a listing does not keep.
func (c *Counter) waitForLabels(ctx context.Context, listing *Listing) {
	for ctx.Err() == nil && c.keeps(listing) {
		select {
		case <-c.more:
		case <-ctx.Done():
		}
	}
}

// keeps reports whether a listing keeps all labels that specs name.
func (c *Counter) keeps(listing *Listing) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return listing.labels.IsSuperset(c.named)
}
