package adapter

import (
	"errors"
	"time"

	"github.com/spf13/pflag"
	basecmd "sigs.k8s.io/custom-metrics-apiserver/pkg/cmd"
)

// Options is how an adapter is run. Create it with NewOptions.
type Options struct {
	// Kubeconfig is the path of the kubeconfig used for everything that has none of its own; empty to use the
	// service account of the pod.
	Kubeconfig string
	// ShutdownDelay is for how long an adapter that is told to stop goes on serving, no longer ready, until no
	// more requests are sent to it.
	ShutdownDelay time.Duration
	// Delegate is which other server answers for the metrics of others.
	Delegate DelegateOptions

	base basecmd.AdapterBase
}

// NewOptions returns the defaults.
func NewOptions() *Options {
	return &Options{ShutdownDelay: 5 * time.Second, base: basecmd.AdapterBase{Name: "ksmscale-adapter"}}
}

// AddFlags adds a flag for each option, those of an API server among them.
func (o *Options) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig,
		"Path of a kubeconfig for reading objects, and for authentication and authorization of requests unless these have one of their own; empty in a pod.")
	flags.DurationVar(&o.ShutdownDelay, "shutdown-delay-duration", o.ShutdownDelay,
		"For how long to go on serving after SIGTERM, no longer ready, until no more requests are sent here.")
	o.Delegate.AddFlags(flags)

	o.base.FlagSet = flags
	o.base.InstallFlags()
	// What the adapter asks for are watches, and the API server has priority and fairness for them.
	for _, unused := range []string{"lister-kubeconfig", "discovery-interval", "client-qps", "client-burst"} {
		// The flag was just added, so that it cannot be missing.
		_ = flags.MarkHidden(unused)
	}
}

// Complete fills in options that follow from others.
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

// Validate returns what is wrong with the options, naming the flags.
func (o *Options) Validate() error {
	errs := o.base.Validate()
	if o.ShutdownDelay < 0 {
		errs = append(errs, errors.New("--shutdown-delay-duration must not be negative"))
	}
	return errors.Join(append(errs, o.Delegate.Validate())...)
}
