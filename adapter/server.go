package adapter

import (
	"context"
	"fmt"
	"net/http"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/custom-metrics-apiserver/pkg/provider"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/nodes"
	"github.com/example/ksmscale/plans"
)

// Run serves external metrics until the context is done, and then until it has answered all running requests. It returns
// an error if it cannot set up the server or its watches, or if one of them ends before that.
func Run(ctx context.Context, options *Options) error {
	config, err := options.base.ClientConfig()
	if err != nil {
		return err
	}
	config = rest.CopyConfig(config)
	config.QPS = -1
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return fmt.Errorf("create a client: %w", err)
	}
	objects, err := newCache(config, client)
	if err != nil {
		return err
	}
	watched, err := nodes.ListerWatcher(config, client)
	if err != nil {
		return err
	}
	source, err := plans.Watch(ctx, objects, nodes.NewCounter(clock.RealClock{}), watched)
	if err != nil {
		return err
	}
	if err := legacyregistry.Registerer().Register(plans.Collector{Source: source}); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	var delegate *Delegate
	if options.Delegate.Address != "" {
		if delegate, err = NewDelegate(config, &options.Delegate, clock.RealClock{}); err != nil {
			return err
		}
		if err := legacyregistry.Registerer().Register(delegate.requests); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return serve(ctx, options, objects, source, delegate)
}

// newCache returns a cache of KSMScales.
func newCache(config *rest.Config, client *http.Client) (cache.Cache, error) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	objects, err := cache.New(config, cache.Options{Scheme: scheme, HTTPClient: client, DefaultTransform: cache.TransformStripManagedFields()})
	if err != nil {
		return nil, fmt.Errorf("create the cache: %w", err)
	}
	return objects, nil
}

// serve runs the watches, the server, and the delegate if there is one. It stops all of them when the watches or the
// server end.
func serve(ctx context.Context, options *Options, objects cache.Cache, source *plans.Source, delegate *Delegate) error {
	var metrics provider.ExternalMetricsProvider = NewProvider(source)
	if delegate != nil {
		metrics = delegating{own: metrics, others: delegate}
	}
	options.base.WithExternalMetrics(metrics)
	config, err := options.base.Config()
	if err != nil {
		return fmt.Errorf("configure the server: %w", err)
	}
	config.GenericConfig.ShutdownDelayDuration = options.ShutdownDelay
	server, err := options.base.Server()
	if err != nil {
		return fmt.Errorf("create the server: %w", err)
	}
	if err := server.GenericAPIServer.AddReadyzChecks(readyWhenSynced(source)); err != nil {
		return fmt.Errorf("add the readiness check: %w", err)
	}

	// The watches outlive ctx until the server has stopped, so its last answers are correct.
	watching, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWatching()
	running, ctx := errgroup.WithContext(ctx)
	running.Go(func() error {
		if err := objects.Start(watching); err != nil {
			return fmt.Errorf("watch KSMScales: %w", err)
		}
		return nil
	})
	running.Go(func() error { return source.Start(watching) })
	if delegate != nil {
		running.Go(func() error {
			delegate.Run(watching)
			return nil
		})
	}
	running.Go(func() error {
		defer stopWatching()
		return options.base.Run(ctx)
	})
	return running.Wait()
}

func readyWhenSynced(source *plans.Source) healthz.HealthChecker {
	return healthz.NamedCheck("nodes-counted", func(*http.Request) error {
		if !source.Synced() {
			return plans.ErrNotSynced
		}
		return nil
	})
}
