package controller

import (
	"errors"
	"testing"

	"github.com/open-policy-agent/cert-controller/pkg/rotator"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/config"
	runtimecontroller "sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/flags"
	"github.com/example/ksmscale/controller/registration"
)

// recordingManager records what it is to run. It needs no cluster as long as it is not started.
type recordingManager struct {
	ctrl.Manager
	controllers, rotators int
}

func newRecordingManager(t *testing.T) *recordingManager {
	t.Helper()
	scheme := runtime.NewScheme()
	require.NoError(t, errors.Join(clientgoscheme.AddToScheme(scheme), apiregistrationv1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)))
	nowhere, err := ctrl.NewManager(&rest.Config{Host: "https://localhost"}, ctrl.Options{
		Scheme:     scheme,
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: new(true)},
	})
	require.NoError(t, err)
	return &recordingManager{Manager: nowhere}
}

// Add counts.
func (m *recordingManager) Add(runnable manager.Runnable) error {
	switch runnable.(type) {
	case *rotator.CertRotator:
		m.rotators++
	case runtimecontroller.Controller:
		m.controllers++
	}
	return m.Manager.Add(runnable)
}

func TestExternalMetricsAndCertificateAreOptional(t *testing.T) {
	for _, test := range []struct {
		name                       string
		externalMetrics, certified bool
		controllers, rotators      int
		err                        error
	}{
		{name: "ours", externalMetrics: true, certified: true, controllers: 2, rotators: 1},
		{name: "a certificate of someone else", externalMetrics: true, controllers: 1},
		{name: "no adapter", certified: true, err: registration.ErrDisabled},
	} {
		t.Run(test.name, func(t *testing.T) {
			options := flags.NewOptions()
			options.ExternalMetrics, options.ManageCertificate = test.externalMetrics, test.certified
			manager := newRecordingManager(t)
			registration, err := registration.AddToManager(manager, registrationOptions(options), func() {})
			require.NoError(t, err)
			assert.Equal(t, test.controllers, manager.controllers, "the one of the APIService, and that of the rotator")
			assert.Equal(t, test.rotators, manager.rotators)
			assert.Equal(t, test.err, registration.Err())
		})
	}
}
