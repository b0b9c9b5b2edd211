package observation

import (
	"errors"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
)

func TestMonitorsTellOfChangesOnly(t *testing.T) {
	ksmScales := newClient(t)
	objects := fake.NewClientBuilder().WithScheme(ksmScales.Scheme()).Build()
	kinds := fixtures.InstalledKinds{}
	changed := newChanges()
	monitors := NewMonitors(&kinds, ksmScales, objects, clocktesting.NewFakeClock(fixtures.Time), changed.notify)
	assert.False(t, monitors.Latest().Known)
	notified := func() bool {
		require.NoError(t, monitors.Poll(t.Context()))
		select {
		case <-changed:
			return true
		default:
			return false
		}
	}
	assert.True(t, notified())
	assert.False(t, notified())
	kinds = MonitorKinds
	assert.True(t, notified(), "kinds have come")
	assert.False(t, notified())
	assert.Len(t, monitors.Latest().Installed, 3)

	monitor := &monitoringv1.ServiceMonitor{ObjectMeta: metav1.ObjectMeta{Namespace: "monitoring", Name: "ksm-main", UID: "monitor", OwnerReferences: []metav1.OwnerReference{{UID: fixtures.KSMScale().UID, Controller: new(true)}}, Labels: map[string]string{v1alpha1.LabelKSMScale: "main"}}}
	require.NoError(t, objects.Create(t.Context(), monitor))
	assert.True(t, notified(), "an object has come")
	assert.Equal(t, fixtures.ServiceMonitorKind, monitors.Latest().Objects[MonitorKey{fixtures.ServiceMonitorKind, client.ObjectKeyFromObject(monitor)}].Kind)
	assert.True(t, monitors.Latest().Rules.Deduplicate, "it stays until it has a successor")
	kinds = nil
	assert.True(t, notified(), "kinds have gone")
	assert.False(t, monitors.Latest().Rules.Deduplicate)
	assert.Empty(t, monitors.Latest().Installed)
}

// A namespace that does not exist is no kind that has gone.
func TestMonitorsWithoutANamespace(t *testing.T) {
	for _, test := range []struct {
		err  error
		gone bool
	}{
		{apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "typo"), false},
		{apierrors.NewNotFound(schema.GroupResource{Group: monitoringv1.SchemeGroupVersion.Group, Resource: "scrapeconfigs"}, "ksm-main"), true},
		{&meta.NoKindMatchError{}, true},
		{errors.New("timeout"), false},
		{nil, false},
	} {
		assert.Equal(t, test.gone, IsGone(test.err), "%v", test.err)
	}
}
