package controller

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	monitoringv1alpha1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/flags"
	"github.com/example/ksmscale/controller/metrics"
	"github.com/example/ksmscale/controller/objectcounts"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/controller/registration"
	"github.com/example/ksmscale/loads"
	"github.com/example/ksmscale/nodes"
	"github.com/example/ksmscale/plans"
)

// Run reconciles until the context is done. It returns an error if the setup fails or the controller loses its lease.
func Run(ctx context.Context, options *flags.Options) error {
	manager, err := newManager(options)
	if err != nil {
		return err
	}
	gateImage, err := options.ReadGateImage(ctx, manager.GetAPIReader())
	if err != nil {
		return err
	}
	if err := observation.AddIndexes(ctx, manager.GetFieldIndexer()); err != nil {
		return err
	}
	counter := nodes.NewCounter(clock.RealClock{})
	source, err := watchNodes(ctx, manager, counter)
	if err != nil {
		return err
	}

	changes := newChanges()
	state, err := registration.AddToManager(manager, registrationOptions(options), changes.notify)
	if err != nil {
		return err
	}
	meter := loads.NewMeter(manager.GetCache(), clock.RealClock{}, options.LoadInterval, changes.notify)
	// The manager starts the meter on the leader only, because only the leader records its decisions.
	if err := manager.Add(meter); err != nil {
		return fmt.Errorf("measure loads: %w", err)
	}
	measurements := observation.NewMeasurements(manager.GetCache(), clock.RealClock{}, options.SizeInterval, options.MeasureInterval, changes.notify)
	if err := manager.Add(measurements); err != nil {
		return fmt.Errorf("read measurements: %w", err)
	}
	if err := (&Reconciler{
		Plans: source, NodeKinds: counter, Loads: meter, Adapter: options.Adapter(), Registration: state, GateImage: gateImage,
		Concurrent: options.ConcurrentReconciles, Rollouts: options.Rollouts,
		MeasureInterval: options.GateMeasureInterval(), CountInterval: options.GateCountInterval(),
		Sizing: Sizing{
			Settings: &options.Sizing, Measurements: measurements,
			Counter: objectcounts.NewCounter(manager.GetAPIReader(), manager.GetRESTMapper(), clock.RealClock{}),
		},
	}).AddToManager(manager, counter, changes); err != nil {
		return err
	}
	if err := errors.Join(
		ctrlmetrics.Registry.Register(plans.Collector{Source: source}),
		ctrlmetrics.Registry.Register(metrics.Collector{KSMScales: manager.GetCache(), Synced: source.Synced, Completeness: measurements.Completeness}),
		registerCertificate(options, manager.GetCache(), source.Synced),
		manager.AddHealthzCheck("ping", healthz.Ping),
		manager.AddReadyzCheck("nodes-counted", func(*http.Request) error {
			if !source.Synced() {
				return plans.ErrNotSynced
			}
			return nil
		}),
	); err != nil {
		return fmt.Errorf("set up metrics and probes: %w", err)
	}
	return manager.Start(ctx)
}

// registerCertificate registers the metrics of the adapter's certificate, which an installation without the adapter does not have.
func registerCertificate(options *flags.Options, secrets client.Reader, synced func() bool) error {
	if !options.ExternalMetrics {
		return nil
	}
	return ctrlmetrics.Registry.Register(registration.CertificateCollector{Secrets: secrets, Certificate: options.Certificate(), Synced: synced})
}

// registrationOptions returns the options of the registration of external metrics.
func registrationOptions(options *flags.Options) registration.Options {
	return registration.Options{
		ExternalMetrics: options.ExternalMetrics, ManageCertificate: options.ManageCertificate,
		Adapter: options.Adapter(), Certificate: options.Certificate(), Controller: controllerOptions(1),
	}
}

// watchNodes configures the manager to watch nodes for a counter. It returns the plans that follow them.
func watchNodes(ctx context.Context, manager ctrl.Manager, counter *nodes.Counter) (*plans.Source, error) {
	watched, err := nodes.ListerWatcher(manager.GetConfig(), manager.GetHTTPClient())
	if err != nil {
		return nil, err
	}
	source, err := plans.Watch(ctx, manager.GetCache(), counter, watched)
	if err != nil {
		return nil, err
	}
	if err := manager.Add(source); err != nil {
		return nil, fmt.Errorf("watch nodes: %w", err)
	}
	return source, nil
}

// newManager returns a manager for the options.
func newManager(options *flags.Options) (ctrl.Manager, error) {
	config, err := clientcmd.BuildConfigFromFlags("", options.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read --kubeconfig: %w", err)
	}
	// The client has no rate limit, because the API server has priority and fairness.
	config.QPS = -1
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme,
		Cache:  cacheOptions(options.Certificate().Secret),
		// With a cache that lags behind our own writes, the controller would repeat them.
		Client: client.Options{Cache: &client.CacheOptions{
			EnableReadYourWritesConsistency: new(true),
		}},
		LeaderElection:                options.LeaderElect,
		LeaderElectionID:              v1alpha1.ControllerLeaseName,
		LeaderElectionNamespace:       options.Namespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &options.LeaseDuration,
		RenewDeadline:                 &options.RenewDeadline,
		RetryPeriod:                   &options.RetryPeriod,
		HealthProbeBindAddress:        options.HealthAddress,
		Metrics: metricsserver.Options{
			BindAddress:    options.MetricsAddress,
			SecureServing:  true,
			FilterProvider: filters.WithAuthenticationAndAuthorization,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("create the manager: %w", err)
	}
	return manager, nil
}

// newScheme returns a scheme with all kinds that the controller reads or writes.
func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	return scheme, errors.Join(
		clientgoscheme.AddToScheme(scheme),
		apiregistrationv1.AddToScheme(scheme),
		monitoringv1.AddToScheme(scheme),
		monitoringv1alpha1.AddToScheme(scheme),
		v1alpha1.AddToScheme(scheme),
	)
}
