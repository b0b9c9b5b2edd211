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
	"k8s.io/apimachinery/pkg/runtime/schema"
	metadatafake "k8s.io/client-go/metadata/fake"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
)

var podResource = schema.GroupVersionResource{Version: "v1", Resource: pods}

type oneTarget string

func (o oneTarget) List() (map[string]string, error) { return map[string]string{string(o): "one"}, nil }

// A pod is not in the metrics. It counts unless the auditor hears within a moment that it was deleted.
func TestADeletionThatTheAuditorHearsOfLate(t *testing.T) {
	for name, deleted := range map[string]bool{"deleted": true, "missing": false} {
		t.Run(name, func(t *testing.T) {
			scheme := metadatafake.NewTestScheme()
			require.NoError(t, metav1.AddMetaToScheme(scheme))
			client := metadatafake.NewSimpleMetadataClient(scheme, &metav1.PartialObjectMetadata{
				TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
				ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "a", UID: "a", CreationTimestamp: metav1.NewTime(time.Now().Add(-time.Hour))},
			})
			ctx, cancel := context.WithCancel(t.Context())
			t.Cleanup(cancel)
			informer := metadatainformer.NewSharedInformerFactory(client, 0).ForResource(podResource).Informer()
			go informer.Run(ctx.Done())
			require.True(t, cache.WaitForCacheSync(ctx.Done(), informer.HasSynced))
			server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			t.Cleanup(server.Close)
			a := &Auditor{
				targets: oneTarget(strings.TrimPrefix(server.URL, "http://")), ledger: newLedger(time.Now()),
				scraper: &scraper{client: server.Client(), known: map[string]string{}}, objects: map[string]cache.SharedIndexInformer{pods: informer},
			}
			if deleted {
				a.scraper.client = &http.Client{Transport: deleteLater(func() {
					_ = client.Resource(podResource).Namespace("default").Delete(context.WithoutCancel(ctx), "a", metav1.DeleteOptions{})
				})}
			}
			require.NoError(t, a.look(ctx))
			assert.Equal(t, deleted, a.ledger.report.MissingObjectSeconds == 0)
		})
	}
}

// deleteLater deletes something a moment after a scrape.
type deleteLater func()

func (d deleteLater) RoundTrip(request *http.Request) (*http.Response, error) {
	time.AfterFunc(deletionDelay/10, d)
	return http.DefaultTransport.RoundTrip(request)
}
