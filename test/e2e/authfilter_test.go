package e2e

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
)

// filteredInterval keeps the old pods during the rollout for longer than kube-state-metrics caches a token review, which
// is a minute.
const filteredInterval = 90 * time.Second

// filtered enables authFilter.
func filtered(spec *v1alpha1.KSMScaleSpec) {
	spec.Metrics.AuthFilter = true
	spec.Monitoring.Interval = metav1.Duration{Duration: filteredInterval}
}

// stopFiltering turns the filter off. The right to review tokens stays while pods from before need it, and no longer.
func stopFiltering(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.ServiceAccountName(ksmScale.Name) + ":auth-filter"}}
	getMetrics := func(ctx context.Context) error {
		return shared.client.Get(ctx, client.ObjectKeyFromObject(binding), binding)
	}
	require.NoError(t, getMetrics(t.Context()))
	update(t, ksmScale, func(spec *v1alpha1.KSMScaleSpec) { spec.Metrics.AuthFilter = false })
	awaitCondition(t, ksmScale, v1alpha1.ConditionProgressing, v1alpha1.ReasonRollingOut)
	require.NoError(t, getMetrics(t.Context()), "pods from before review tokens")
	awaitReady(t, ksmScale)
	await(t, "the right to review tokens to be taken away", func(ctx context.Context) error {
		if err := getMetrics(ctx); !apierrors.IsNotFound(err) {
			return errors.Join(errors.New("it is still there"), err)
		}
		return nil
	})
}
