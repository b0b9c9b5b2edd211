package gate

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"github.com/example/ksmscale/ksmflags"
)

// minMeasureInterval keeps kube-state-metrics from being measured most of the time.
const minMeasureInterval = time.Second

// Options is how a gate is run. Create it with NewOptions. Shard, TotalShards, Resources, the lists of metrics and of
// namespaces, and ObjectLimit are those of the kube-state-metrics beside it.
type Options struct {
	// Kubeconfig is the path of a kubeconfig; empty to use the service account of the pod.
	Kubeconfig string
	// Share is the shard that kube-state-metrics exports.
	Share Share
	// Resources are what kube-state-metrics exports, but for custom resources.
	Resources []string
	// CustomResources is whether kube-state-metrics exports some of them too.
	CustomResources bool
	// MetricAllowlist, MetricDenylist and MetricOptInList are of families of metrics, and MetricLabelsAllowlist and
	// MetricAnnotationsAllowlist of what the families of labels and annotations have.
	MetricAllowlist, MetricDenylist, MetricOptInList, MetricLabelsAllowlist, MetricAnnotationsAllowlist []string
	// Namespaces are what kube-state-metrics is limited to; empty for all.
	Namespaces []string
	// NamespacesDenylist are what kube-state-metrics leaves out of all namespaces.
	NamespacesDenylist []string
	// ObjectLimit is how many objects kube-state-metrics takes of each list; 0 is all.
	ObjectLimit int64
	// Authenticate is whether kube-state-metrics asks who wants its metrics.
	Authenticate bool
	// MetricsURL and TelemetryURL are where kube-state-metrics serves the metrics of objects, and its own.
	MetricsURL, TelemetryURL string
	// Certificate is the file of the certificate that kube-state-metrics serves with; empty if it serves without TLS.
	Certificate string
	// Address is where the gate serves /readyz, /healthz and /metrics.
	Address string
	// StateFile is the path of a file that outlives the gate's container, in which the gate keeps which process of
	// kube-state-metrics was complete; empty to keep nothing.
	StateFile string
	// Deadline is after what time the gate opens though objects are missing.
	Deadline time.Duration
	// MeasureInterval is how often the open gate reads everything that kube-state-metrics exposes; 0 for never.
	MeasureInterval time.Duration
}

// NewOptions returns the defaults.
func NewOptions() *Options {
	return &Options{
		Share:        Share{TotalShards: 1},
		MetricsURL:   "http://localhost:8080/metrics",
		TelemetryURL: "http://localhost:8081/metrics",
		Address:      ":8082",
		Deadline:     10 * time.Minute,

		MeasureInterval: 5 * time.Minute,
	}
}

// AddFlags adds a flag for each option.
func (o *Options) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig, "Path of a kubeconfig; empty in a pod.")
	flags.Int32Var(&o.Share.Shard, "shard", o.Share.Shard, "Number of the shard that kube-state-metrics exports, from 0.")
	flags.Int32Var(&o.Share.TotalShards, "total-shards", o.Share.TotalShards, "Number of shards.")
	flags.Var((*ksmflags.List)(&o.Resources), "resources", "Resources that kube-state-metrics exports.")
	flags.BoolVar(&o.CustomResources, "custom-resources", o.CustomResources, "Whether kube-state-metrics exports custom resources too, whose series are waited for until no more come.")
	flags.Var((*ksmflags.List)(&o.MetricAllowlist), "metric-allowlist", "Metrics that kube-state-metrics exports, and no others: regular expressions.")
	flags.Var((*ksmflags.List)(&o.MetricDenylist), "metric-denylist", "Metrics that kube-state-metrics leaves out: regular expressions.")
	flags.Var((*ksmflags.List)(&o.MetricOptInList), "metric-opt-in-list", "Metrics that kube-state-metrics exports though it does not by default: regular expressions.")
	flags.Var((*ksmflags.List)(&o.MetricLabelsAllowlist), "metric-labels-allowlist", "Labels that kube-state-metrics exports, by resource.")
	flags.Var((*ksmflags.List)(&o.MetricAnnotationsAllowlist), "metric-annotations-allowlist", "Annotations that kube-state-metrics exports, by resource.")
	flags.Var((*ksmflags.List)(&o.Namespaces), "namespaces", "Namespaces that kube-state-metrics is limited to; empty for all.")
	flags.Var((*ksmflags.List)(&o.NamespacesDenylist), "namespaces-denylist", "Namespaces that kube-state-metrics leaves out.")
	flags.Int64Var(&o.ObjectLimit, "object-limit", o.ObjectLimit, "Objects that kube-state-metrics takes of each list; 0 for all.")
	flags.BoolVar(&o.Authenticate, "authenticate", o.Authenticate, "Send kube-state-metrics the token of the service account.")
	flags.StringVar(&o.MetricsURL, "metrics-url", o.MetricsURL, "URL of the metrics that kube-state-metrics makes of objects.")
	flags.StringVar(&o.TelemetryURL, "telemetry-url", o.TelemetryURL, "URL of the metrics of kube-state-metrics itself.")
	flags.StringVar(&o.Certificate, "certificate", o.Certificate, "File of the certificate that kube-state-metrics has to show, if the URLs are of https.")
	flags.StringVar(&o.Address, "bind-address", o.Address, "Address to serve /readyz, /healthz and /metrics on.")
	flags.StringVar(&o.StateFile, "state-file", o.StateFile, "Path of a file that outlives a restart of this container, to keep which kube-state-metrics was complete; empty to keep nothing.")
	flags.DurationVar(&o.Deadline, "deadline", o.Deadline, "Time after which kube-state-metrics counts as ready though objects are missing, with a warning, if it exposes anything.")
	flags.DurationVar(&o.MeasureInterval, "measure-interval", o.MeasureInterval, "How often everything that kube-state-metrics exposes is read and measured, once it is complete; 0 for never.")
}

// Complete has nothing to fill in.
func (o *Options) Complete() {}

// Validate returns what is wrong with the options, naming the flags.
func (o *Options) Validate() error {
	var errs []error
	if o.Share.TotalShards < 1 {
		errs = append(errs, fmt.Errorf("--total-shards is %d, and must be at least 1", o.Share.TotalShards))
	}
	if o.Share.Shard < 0 || o.Share.Shard >= o.Share.TotalShards {
		errs = append(errs, fmt.Errorf("--shard is %d, and must be from 0 to %d, which is --total-shards less 1", o.Share.Shard, o.Share.TotalShards-1))
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
	return errors.Join(errs...)
}

// exported are the resources that count, in the order of their names, for a version of kube-state-metrics as it names
// itself: those that the lists of metrics leave something of. If these leave nothing at all, none is left out, so that a
// kube-state-metrics that exposes nothing never replaces another. So it is if there is an error, which says why the lists do
// not tell.
func (o *Options) exported() (func(version string) []resource, error) {
	var all []resource
	for _, name := range slices.Compact(slices.Sorted(slices.Values(o.Resources))) {
		if of, known := resources[name]; known {
			all = append(all, of)
		}
	}
	lists, err := newLists(o)
	if err != nil {
		return func(string) []resource { return all }, err
	}
	return func(version string) []resource {
		mayHaveMore := mayHaveMoreFamilies(version)
		left := slices.DeleteFunc(slices.Clone(all), func(of resource) bool { return !lists.leave(of, mayHaveMore) })
		if len(left) == 0 && !o.CustomResources {
			return all
		}
		return left
	}, nil
}
