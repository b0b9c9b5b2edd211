package cluster

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	authorizationv1 "k8s.io/api/authorization/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/example/ksmscale/controller/fixtures"
)

// A KSMScale of many namespaces has thousands of rights, and the API server reviews only some of them at the same time.
func TestReviewsAreLimited(t *testing.T) {
	const namespaces = 5 * parallelReviews
	var rights []Right
	for i := range namespaces {
		rights = append(rights, Right{ResourceAttributes: authorizationv1.ResourceAttributes{Verb: "list", Resource: "pods", Namespace: "shop-" + strconv.Itoa(i)}})
	}
	for name, lackingOf := range map[string]func(context.Context, *Cluster) ([]Right, error){
		"of the user": func(ctx context.Context, c *Cluster) ([]Right, error) { return c.Lacking(ctx, rights) },
		"of the service account": func(ctx context.Context, c *Cluster) ([]Right, error) {
			return c.MonitorLacks(ctx, fixtures.KSMScale(), rights)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var reviews atomic.Int32
				answer := make(chan struct{})
				scheme, err := NewScheme()
				require.NoError(t, err)
				objects := fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(interceptor.Funcs{
					Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error {
						reviews.Add(1)
						<-answer
						return nil
					},
				}).Build()
				var lacking []Right
				go func() { lacking, err = lackingOf(t.Context(), &Cluster{Client: objects}) }()
				synctest.Wait()
				assert.EqualValues(t, parallelReviews, reviews.Load())
				close(answer)
				synctest.Wait()
				require.NoError(t, err)
				assert.EqualValues(t, namespaces, reviews.Load())
				assert.Equal(t, rights, lacking, "in their order")
			})
		})
	}
}
