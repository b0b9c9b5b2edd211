package gate

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/example/ksmscale/gate/apiserver"
	"github.com/example/ksmscale/gate/ksm"
)

const (
	// headerTimeout is how long a client has to send its request.
	headerTimeout = 10 * time.Second
	// requestTimeout is far above the time to answer a request. The answers are small, and only a probe waits.
	requestTimeout = 30 * time.Second
	// idleTimeout is how long a client may keep a connection without a request. It is above the usual intervals of scrapes.
	idleTimeout = 2 * time.Minute
	// probeTimeout is how long a readiness probe waits for the gate to open. It is slightly shorter than the kubelet's
	// timeout and the period of its probes, so one probe always waits.
	probeTimeout = 800 * time.Millisecond
	// gcPercent limits garbage to 40 % of the used memory, instead of 100 %. Every pod has a gate. Most of what it reads
	// is garbage soon, and it lists only for seconds.
	gcPercent = 40
)

// Run follows the kube-state-metrics of its pod until the context is done, and answers its readiness probe. It returns an
// error if it cannot be set up, or cannot serve.
func Run(ctx context.Context, options *Options) error {
	if _, set := os.LookupEnv("GOGC"); !set {
		debug.SetGCPercent(gcPercent)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	gate, err := newGate(ctx, options, registry)
	if err != nil {
		return err
	}
	server := newServer(options.Address, handler(gate, registry))
	running, ctx := errgroup.WithContext(ctx)
	running.Go(func() error {
		gate.Run(ctx)
		return nil
	})
	running.Go(func() error {
		if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve on %s: %w", options.Address, err)
		}
		return nil
	})
	running.Go(func() error {
		<-ctx.Done()
		return server.Close()
	})
	return running.Wait()
}

// newServer returns a server that closes the connections of clients that do not read or send.
func newServer(address string, handler http.Handler) *http.Server {
	return &http.Server{
		Addr: address, Handler: handler,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout, WriteTimeout: requestTimeout, IdleTimeout: idleTimeout,
	}
}

func newGate(ctx context.Context, options *Options, registry prometheus.Registerer) (*Gate, error) {
	config, err := clientcmd.BuildConfigFromFlags("", options.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("configure the client: %w", err)
	}
	config = rest.AddUserAgent(config, "ksmscale-gate")
	// No client-side limit: the API server has priority and fairness, and a gate that throttles itself delays metrics.
	config.QPS = -1
	objects, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("create the client of metadata: %w", err)
	}
	apiContact, err := apiserver.NewContact(config)
	if err != nil {
		return nil, err
	}
	monitorClient, err := ksm.NewHTTPClient(config, options.Certificate, options.Authenticate)
	if err != nil {
		return nil, err
	}
	exported, err := options.exported()
	if err != nil {
		klog.FromContext(ctx).Info("Warning: waiting for all resources", "reason", err.Error())
	}
	gate := &Gate{
		cluster: &apiserver.Objects{
			Metadata: objects, Shard: options.Shard,
			Namespaces: options.Namespaces, NamespacesDenylist: options.NamespacesDenylist, Limit: options.ObjectLimit,
		},
		contact:   apiContact,
		monitor:   &ksm.Client{HTTP: monitorClient, Metrics: options.MetricsURL, Telemetry: options.TelemetryURL},
		exported:  exported,
		deadline:  options.Deadline,
		discovers: options.CustomResources,
		memory:    memory{file: options.StateFile},
		counting:  newCounting(options),
		schedule:  schedule{interval: options.MeasureInterval, phase: rand.Float64()}, //nolint:gosec // The phase spreads load, and is no secret.
		clock:     clock.RealClock{},
		metrics:   newMetrics(registry),
	}
	return gate.open(ctx), nil
}

func handler(gate *Gate, registry *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, request *http.Request) {
		ctx, cancel := context.WithTimeout(request.Context(), probeTimeout)
		defer cancel()
		if err := gate.Await(ctx); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	})
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}
