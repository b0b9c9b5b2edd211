package objects

import (
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
)

// The API server owns maps as a whole that our builders fill, as its schema says: what it returns is what was applied.
func TestWhatIsAppliedIsReadBack(t *testing.T) {
	key := v1alpha1.KeySelector{Name: "a", Key: "b"}
	desired := ServiceMonitor(fixtures.MonitoredBy(v1alpha1.MonitoringConfig{
		TLSConfig:     &v1alpha1.ScrapeTLSConfig{CA: &v1alpha1.SecretOrConfigMap{Secret: key}},
		Authorization: v1alpha1.ScrapeAuthorization{Credentials: key},
	}))
	live := &monitoringv1.ServiceMonitor{}
	fixtures.Convert(t, desired, live)
	desired.Labels, desired.OwnerReferences = nil, nil
	live.ManagedFields = []metav1.ManagedFieldsEntry{{
		Manager: FieldOwner, Operation: metav1.ManagedFieldsOperationApply, FieldsType: "FieldsV1",
		FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:endpoints":{},"f:namespaceSelector":{"f:matchNames":{}},"f:selector":{}}}`),
	}}
	owned, err := ExtractServiceMonitor(live, FieldOwner)
	require.NoError(t, err)
	assert.Equal(t, desired.Spec, owned.Spec)
}
