package audit

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	metadatafake "k8s.io/client-go/metadata/fake"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
)

var podResource = schema.GroupVersionResource{Version: "v1", Resource: pods}

type oneTarget string

func (o oneTarget) List() (map[string]string, error) { return map[string]string{string(o): "one"}, nil }

// A pod is not in the metrics, and the auditor has not heard of a deletion. It counts unless it is deleted, or there is another of its name.
func TestADeletionOfWhichTheAuditorHasNotHeard(t *testing.T) {
	for name, test := range map[string]struct {
		live    *metav1.PartialObjectMetadata
		missing bool
	}{
		"deleted":       {live: podMetadata("b", "b")},
		"created again": {live: podMetadata("a", "b")},
		"missing":       {live: podMetadata("a", "a"), missing: true},
	} {
		t.Run(name, func(t *testing.T) {
			informer := metadatainformer.NewSharedInformerFactory(metadataClient(t, podMetadata("a", "a")), 0).ForResource(podResource).Informer()
			ctx, cancel := context.WithCancel(t.Context())
			t.Cleanup(cancel)
			go informer.Run(ctx.Done())
			require.True(t, cache.WaitForCacheSync(ctx.Done(), informer.HasSynced))
			server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			t.Cleanup(server.Close)
			a := &Auditor{
				targets: oneTarget(strings.TrimPrefix(server.URL, "http://")), client: metadataClient(t, test.live), ledger: newLedger(time.Now()),
				scraper: &scraper{client: server.Client(), known: map[string]string{}}, objects: map[string]cache.SharedIndexInformer{pods: informer},
			}
			require.NoError(t, a.look(ctx))
			assert.Equal(t, test.missing, a.ledger.report.MissingObjectSeconds > 0)
		})
	}
}

func podMetadata(name string, uid types.UID) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: uid, CreationTimestamp: metav1.NewTime(time.Now().Add(-time.Hour))},
	}
}

func metadataClient(t *testing.T, objects ...runtime.Object) metadata.Interface {
	t.Helper()
	scheme := metadatafake.NewTestScheme()
	require.NoError(t, metav1.AddMetaToScheme(scheme))
	return metadatafake.NewSimpleMetadataClient(scheme, objects...)
}
