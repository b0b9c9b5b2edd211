package observation

import (
	"errors"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
)

// newClient returns a fake client of an API server with one KSMScale.
func newClient(t *testing.T) client.WithWatch {
	t.Helper()
	scheme := runtime.NewScheme()
	require.NoError(t, errors.Join(clientgoscheme.AddToScheme(scheme), monitoringv1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)))
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(fixtures.KSMScale()).Build()
}

// changes has one item if a poller has reported a change that the test has not received.
type changes chan struct{}

func newChanges() changes { return make(changes, 1) }

func (c changes) notify() {
	select {
	case c <- struct{}{}:
	default:
	}
}
