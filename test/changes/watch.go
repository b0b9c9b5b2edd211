// Package changes shows tests every change of objects.
package changes

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Watch has see called, one call after the other, with each object of a list, and with each change of one until the test ends. The API server
// ends a watch whose client is slow: another one goes on from the last change. The test fails where that cannot be had.
func Watch[T client.Object](t testing.TB, c client.WithWatch, list client.ObjectList, see func(watch.EventType, T), options ...client.ListOption) {
	t.Helper()
	require.NoError(t, c.List(t.Context(), list, options...))
	watchFrom := func(ctx context.Context, from metav1.ListOptions) (watch.Interface, error) {
		return c.Watch(ctx, list, append([]client.ListOption{&client.ListOptions{Raw: &from}}, options...)...)
	}
	watched, err := watchtools.NewRetryWatcherWithContext(t.Context(), list.GetResourceVersion(), &cache.ListWatch{WatchFuncWithContext: watchFrom})
	require.NoError(t, err)
	require.NoError(t, meta.EachListItem(list, func(listed runtime.Object) error {
		object, ok := listed.(T)
		if !ok {
			return fmt.Errorf("unexpected %T in the list", listed)
		}
		see(watch.Added, object)
		return nil
	}))
	go func() {
		for event := range watched.ResultChan() {
			object, ok := event.Object.(T)
			if !ok {
				t.Errorf("a change was missed: %v", event.Object)
				return
			}
			see(event.Type, object)
		}
	}()
}
