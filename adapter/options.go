package adapter

import (
	"errors"
	"time"

	"github.com/spf13/pflag"
	basecmd "sigs.k8s.io/custom-metrics-apiserver/pkg/cmd"
	serveroptions "sigs.k8s.io/custom-metrics-apiserver/pkg/cmd/options"
)

// Options configures an adapter. Create it with NewOptions.
type Options struct {
	// Kubeconfig is the path of the kubeconfig for clients without another one; empty to use the service account of the
	// pod.
	Kubeconfig string
	// ShutdownDelay is how long a stopping adapter continues to serve. It is unready during that time, so clients stop
	// sending requests to it.
	ShutdownDelay time.Duration
	// Delegate configures the server of all other external metrics.
	Delegate DelegateOptions

	base basecmd.AdapterBase
}

// authorizedFor is how long the adapter lets a client read a metric without another review of its rights. It is the default of the kubelet.
// Each HorizontalPodAutoscaler reads a metric of its own every 15 seconds, so the 10 seconds of the library would be a review for each read.
const authorizedFor = 5 * time.Minute

// NewOptions returns the defaults.
func NewOptions() *Options {
	server := serveroptions.NewCustomMetricsAdapterServerOptions()
	server.Authorization.AllowCacheTTL = authorizedFor
	return &Options{ShutdownDelay: 5 * time.Second, base: basecmd.AdapterBase{Name: "ksmscale-adapter", CustomMetricsAdapterServerOptions: server}}
}

// AddFlags adds a flag for each option, including the options of an API server.
func (o *Options) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig,
		"Path of a kubeconfig for reading objects. Authentication and authorization of requests use it too, unless they have another kubeconfig. Empty in a pod.")
	flags.DurationVar(&o.ShutdownDelay, "shutdown-delay-duration", o.ShutdownDelay,
		"How long to continue to serve after SIGTERM. The adapter is unready during that time, so clients stop sending requests.")
	o.Delegate.AddFlags(flags)

	o.base.FlagSet = flags
	o.base.InstallFlags()
	// The adapter only opens watches, and the API server has priority and fairness for them.
	for _, unused := range []string{"lister-kubeconfig", "discovery-interval", "client-qps", "client-burst"} {
		// The flag exists, because it was just added.
		_ = flags.MarkHidden(unused)
	}
}

// Complete sets options that depend on other options.
func (o *Options) Complete() {
	for _, kubeconfig := range []*string{
		&o.base.RemoteKubeConfigFile,
		&o.base.Authentication.RemoteKubeConfigFile,
		&o.base.Authorization.RemoteKubeConfigFile,
	} {
		if *kubeconfig == "" {
			*kubeconfig = o.Kubeconfig
		}
	}
}

// Validate returns the errors in the options, with the names of the flags.
func (o *Options) Validate() error {
	errs := o.base.Validate()
	if o.ShutdownDelay < 0 {
		errs = append(errs, errors.New("--shutdown-delay-duration must not be negative"))
	}
	return errors.Join(append(errs, o.Delegate.Validate())...)
}
