package gate

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"github.com/example/ksmscale/gate/exposition"
	"github.com/example/ksmscale/gate/sharding"
	"github.com/example/ksmscale/ksmflags"
)

const (
	// minMeasureInterval limits how much of the time kube-state-metrics serves measurements, and minCountInterval how much
	// of the time it serves counts.
	minMeasureInterval = time.Second
	minCountInterval   = time.Second
)

// Options configures a gate. Create it with NewOptions. Shard, Resources, the lists of metrics and of namespaces, and
// ObjectLimit are the options of the kube-state-metrics in the same pod.
type Options struct {
	// Kubeconfig is the path of a kubeconfig; empty to use the service account of the pod.
	Kubeconfig string
	// Shard is the shard that kube-state-metrics exports.
	Shard sharding.Shard
	// Resources are the resources that kube-state-metrics exports, without custom resources.
	Resources []string
	// CustomResources is whether kube-state-metrics also exports custom resources.
	CustomResources bool
	// MetricAllowlist, MetricDenylist and MetricOptInList contain families of metrics. MetricLabelsAllowlist and
	// MetricAnnotationsAllowlist contain the labels and annotations in the families of labels and annotations.
	MetricAllowlist, MetricDenylist, MetricOptInList, MetricLabelsAllowlist, MetricAnnotationsAllowlist []string
	// Namespaces are the only namespaces that kube-state-metrics exports; empty for all.
	Namespaces []string
	// NamespacesDenylist are the namespaces that kube-state-metrics leaves out.
	NamespacesDenylist []string
	// ObjectLimit is how many objects kube-state-metrics takes of each list; 0 is all.
	ObjectLimit int64
	// Authenticate is whether kube-state-metrics authenticates its clients.
	Authenticate bool
	// MetricsURL and TelemetryURL are the URLs of the metrics of objects, and of kube-state-metrics' own metrics.
	MetricsURL, TelemetryURL string
	// Certificate is the file of the certificate that kube-state-metrics serves with; empty without TLS.
	Certificate string
	// Address is the address on which the gate serves /readyz, /healthz and /metrics.
	Address string
	// StateFile is the path of a file that survives a restart of the gate's container. The gate stores the complete
	// process of kube-state-metrics in it; empty for no file.
	StateFile string
	// Deadline is the time after which the gate opens although objects are missing.
	Deadline time.Duration
	// MeasureInterval is how often the open gate reads everything that kube-state-metrics exposes; 0 for never.
	MeasureInterval time.Duration
	// CountInterval is how often the open gate counts the objects of the cluster and the exposed objects; 0 for never.
	CountInterval time.Duration
}

// NewOptions returns the defaults.
func NewOptions() *Options {
	return &Options{
		Shard:        sharding.Shard{Total: 1},
		MetricsURL:   "http://localhost:8080/metrics",
		TelemetryURL: "http://localhost:8081/metrics",
		Address:      ":8082",
		Deadline:     10 * time.Minute,

		MeasureInterval: 5 * time.Minute,
		CountInterval:   time.Minute,
	}
}

// AddFlags adds a flag for each option.
func (o *Options) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig, "Path of a kubeconfig; empty in a pod.")
	flags.Int32Var(&o.Shard.ID, "shard", o.Shard.ID, "Number of the shard that kube-state-metrics exports, from 0.")
	flags.Int32Var(&o.Shard.Total, "total-shards", o.Shard.Total, "Number of shards.")
	flags.Var((*ksmflags.List)(&o.Resources), "resources", "Resources that kube-state-metrics exports.")
	flags.BoolVar(&o.CustomResources, "custom-resources", o.CustomResources, "Whether kube-state-metrics also exports custom resources. The gate waits until the number of their series stops growing.")
	flags.Var((*ksmflags.List)(&o.MetricAllowlist), "metric-allowlist", "The only metrics that kube-state-metrics exports: regular expressions.")
	flags.Var((*ksmflags.List)(&o.MetricDenylist), "metric-denylist", "Metrics that kube-state-metrics leaves out: regular expressions.")
	flags.Var((*ksmflags.List)(&o.MetricOptInList), "metric-opt-in-list", "Metrics that kube-state-metrics exports in addition to its default: regular expressions.")
	flags.Var((*ksmflags.List)(&o.MetricLabelsAllowlist), "metric-labels-allowlist", "Labels that kube-state-metrics exports, by resource.")
	flags.Var((*ksmflags.List)(&o.MetricAnnotationsAllowlist), "metric-annotations-allowlist", "Annotations that kube-state-metrics exports, by resource.")
	flags.Var((*ksmflags.List)(&o.Namespaces), "namespaces", "The only namespaces that kube-state-metrics exports; empty for all.")
	flags.Var((*ksmflags.List)(&o.NamespacesDenylist), "namespaces-denylist", "Namespaces that kube-state-metrics leaves out.")
	flags.Int64Var(&o.ObjectLimit, "object-limit", o.ObjectLimit, "Objects that kube-state-metrics takes of each list; 0 for all.")
	flags.BoolVar(&o.Authenticate, "authenticate", o.Authenticate, "Send kube-state-metrics the token of the service account.")
	flags.StringVar(&o.MetricsURL, "metrics-url", o.MetricsURL, "URL of the metrics of objects.")
	flags.StringVar(&o.TelemetryURL, "telemetry-url", o.TelemetryURL, "URL of kube-state-metrics' own metrics.")
	flags.StringVar(&o.Certificate, "certificate", o.Certificate, "File of the certificate that kube-state-metrics must serve, if the URLs use https.")
	flags.StringVar(&o.Address, "bind-address", o.Address, "Address to serve /readyz, /healthz and /metrics on.")
	flags.StringVar(&o.StateFile, "state-file", o.StateFile, "Path of a file that survives a restart of this container. The gate notes in it which process of kube-state-metrics is complete; empty for no file.")
	flags.DurationVar(&o.Deadline, "deadline", o.Deadline, "Time after which the gate opens with a warning although objects are missing, if kube-state-metrics exposes any object.")
	flags.DurationVar(&o.MeasureInterval, "measure-interval", o.MeasureInterval, "How often the open gate reads and measures everything that kube-state-metrics exposes; 0 for never.")
	flags.DurationVar(&o.CountInterval, "count-interval", o.CountInterval, "How often the open gate counts the objects of the cluster and the objects that kube-state-metrics exposes; 0 for never. With many namespaces, rounds are longer, because the rate of requests is bounded.")
}

// Complete has no options to set.
func (o *Options) Complete() {}

// Validate returns the errors in the options, with the names of the flags.
func (o *Options) Validate() error {
	var errs []error
	if o.Shard.Total < 1 {
		errs = append(errs, fmt.Errorf("--total-shards is %d, and must be at least 1", o.Shard.Total))
	}
	if o.Shard.ID < 0 || o.Shard.ID >= o.Shard.Total {
		errs = append(errs, fmt.Errorf("--shard is %d, and must be from 0 to %d (--total-shards minus 1)", o.Shard.ID, o.Shard.Total-1))
	}
	if o.ObjectLimit < 0 {
		errs = append(errs, fmt.Errorf("--object-limit is %d, and must be at least 0", o.ObjectLimit))
	}
	if o.Deadline <= 0 {
		errs = append(errs, errors.New("--deadline must be above 0"))
	}
	if o.MeasureInterval != 0 && o.MeasureInterval < minMeasureInterval {
		errs = append(errs, fmt.Errorf("--measure-interval is %s, and must be 0 or at least %s", o.MeasureInterval, minMeasureInterval))
	}
	if o.CountInterval != 0 && o.CountInterval < minCountInterval {
		errs = append(errs, fmt.Errorf("--count-interval is %s, and must be 0 or at least %s", o.CountInterval, minCountInterval))
	}
	return errors.Join(errs...)
}

// exported returns a function. For a version that kube-state-metrics reports, this function returns the resources that
// count, sorted by name. These are the resources of which the lists of metrics leave a family. If the lists leave no
// family at all, all resources count, so a kube-state-metrics without metrics never replaces another one. All resources
// also count if there is an error, which is the cause why the lists cannot be read.
func (o *Options) exported() (func(version string) []exposition.Resource, error) {
	all := o.resources()
	exported, err := o.lists().Exported(all)
	if err != nil {
		return func(string) []exposition.Resource { return all }, err
	}
	return func(version string) []exposition.Resource {
		left := exported(version)
		if len(left) == 0 && !o.CustomResources {
			return all
		}
		return left
	}, nil
}

// resources are the known resources that kube-state-metrics exports, sorted by name.
func (o *Options) resources() []exposition.Resource {
	var all []exposition.Resource
	for _, name := range slices.Compact(slices.Sorted(slices.Values(o.Resources))) {
		if kind, known := exposition.Resources[name]; known {
			all = append(all, kind)
		}
	}
	return all
}

func (o *Options) lists() *exposition.Lists {
	return &exposition.Lists{
		Allow: o.MetricAllowlist, Deny: o.MetricDenylist, OptIn: o.MetricOptInList,
		Labels: o.MetricLabelsAllowlist, Annotations: o.MetricAnnotationsAllowlist,
	}
}
