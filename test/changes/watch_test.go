package changes

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// The API server ends a watch after each change. The next one begins at that change, with the same selector.
func TestEndedWatchesGoOn(t *testing.T) {
	pod := func(name, resourceVersion string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "monitoring", Name: name, ResourceVersion: resourceVersion}}
	}
	ended := map[string]*corev1.Pod{"1000": pod("b", "1001"), "1001": pod("c", "1002")}
	c := interceptor.NewClient(fake.NewClientBuilder().WithObjects(pod("a", "999")).Build(), interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			defer list.SetResourceVersion("1000")
			return c.List(ctx, list, options...)
		},
		Watch: func(_ context.Context, _ client.WithWatch, _ client.ObjectList, options ...client.ListOption) (watch.Interface, error) {
			var asked client.ListOptions
			asked.ApplyOptions(options)
			assert.Equal(t, "monitoring", asked.Namespace)
			watched := watch.NewFakeWithChanSize(1, false)
			if next := ended[asked.Raw.ResourceVersion]; next != nil {
				watched.Add(next)
				watched.Stop()
			}
			return watched, nil
		},
	})
	seen := make(chan string, 3)
	Watch(t, c, &corev1.PodList{}, func(_ watch.EventType, pod *corev1.Pod) { seen <- pod.Name }, client.InNamespace("monitoring"))
	for _, name := range []string{"a", "b", "c"} {
		select {
		case got := <-seen:
			require.Equal(t, name, got)
		case <-t.Context().Done():
			require.Fail(t, "the test has ended")
		}
	}
}
