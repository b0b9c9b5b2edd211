package observation

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/example/ksmscale/api/v1alpha1"
)

func indexedPod(ksmScale string, number int) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "monitoring", Name: ksmScale + "-" + strconv.Itoa(number), Labels: map[string]string{v1alpha1.LabelKSMScale: ksmScale},
	}}
}

func TestObjectsAreListedByTheirKSMScale(t *testing.T) {
	name, of := Index()
	objects := fake.NewClientBuilder().WithObjects(indexedPod("a", 0), indexedPod("a", 1), indexedPod("ab", 0)).WithIndex(&corev1.Pod{}, name, of).Build()
	for ksmScale, want := range map[string]int{"a": 2, "ab": 1, "b": 0} {
		var pods corev1.PodList
		require.NoError(t, objects.List(t.Context(), &pods, client.InNamespace("monitoring"), OfKSMScale(ksmScale)))
		assert.Len(t, pods.Items, want, ksmScale)
	}
	assert.Nil(t, of(&corev1.Pod{}), "an object of no KSMScale")
}

// BenchmarkList lists the 3 pods of one of 200 KSMScales, by their label and by the index, as a cache does.
func BenchmarkList(b *testing.B) {
	name, of := Index()
	indexer := toolscache.NewIndexer(toolscache.MetaNamespaceKeyFunc, toolscache.Indexers{
		name: func(obj any) ([]string, error) { return of(obj.(*corev1.Pod)), nil },
	})
	for i := range 600 {
		require.NoError(b, indexer.Add(indexedPod("many-"+strconv.Itoa(i/3), i)))
	}
	b.Run("label", func(b *testing.B) {
		selector := labels.SelectorFromSet(labels.Set{v1alpha1.LabelKSMScale: "many-100"})
		for b.Loop() {
			found := 0
			for _, obj := range indexer.List() {
				if selector.Matches(labels.Set(obj.(*corev1.Pod).Labels)) {
					found++
				}
			}
			require.Equal(b, 3, found)
		}
	})
	b.Run("index", func(b *testing.B) {
		for b.Loop() {
			found, err := indexer.ByIndex(name, "many-100")
			require.NoError(b, err)
			require.Len(b, found, 3)
		}
	})
}
