package observation

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/example/ksmscale/controller/fixtures"
)

func TestLimitRangesAreNamed(t *testing.T) {
	limited := func(name, namespace string) *corev1.LimitRange {
		return &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}}
	}
	c := newClient(t)
	for _, limitRange := range []*corev1.LimitRange{limited("b", "monitoring"), limited("a", "monitoring"), limited("c", "default")} {
		require.NoError(t, c.Create(t.Context(), limitRange))
	}
	var lists int
	counted := interceptor.NewClient(c, interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
		lists++
		return c.List(ctx, list, options...)
	}})
	failing := func(message string) []appsv1.Deployment {
		return []appsv1.Deployment{{}, {Status: appsv1.DeploymentStatus{Conditions: fixtures.ReplicaFailure(message)}}}
	}
	assert.Equal(t, []string{"a", "b"}, Reader{APIReader: counted}.limitRanges(t.Context(), "monitoring", failing(fixtures.RefusedByLimitRange)))
	assert.Equal(t, 1, lists)
	assert.Empty(t, Reader{APIReader: counted}.limitRanges(t.Context(), "monitoring", failing("exceeded quota")))
	assert.Equal(t, 1, lists, "no list unless a LimitRange refuses")
}
