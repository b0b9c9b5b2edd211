package gate

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/pflag"
)

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
	// MetricAnnotationsAllowlist of what the families of labels and annotations have. Each value is a list itself.
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
	// Deadline is after what time the gate opens though objects are missing.
	Deadline time.Duration
}

// NewOptions returns the defaults.
func NewOptions() *Options {
	return &Options{
		Share:        Share{TotalShards: 1},
		MetricsURL:   "http://localhost:8080/metrics",
		TelemetryURL: "http://localhost:8081/metrics",
		Address:      ":8082",
		Deadline:     10 * time.Minute,
	}
}

// AddFlags adds a flag for each option.
func (o *Options) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig, "Path of a kubeconfig; empty in a pod.")
	flags.Int32Var(&o.Share.Shard, "shard", o.Share.Shard, "Number of the shard that kube-state-metrics exports, from 0.")
	flags.Int32Var(&o.Share.TotalShards, "total-shards", o.Share.TotalShards, "Number of shards.")
	flags.StringSliceVar(&o.Resources, "resources", o.Resources, "Resources that kube-state-metrics exports.")
	flags.BoolVar(&o.CustomResources, "custom-resources", o.CustomResources, "Whether kube-state-metrics exports custom resources too, whose series are waited for until no more come.")
	// Not slices: a regular expression may have quotes.
	flags.StringArrayVar(&o.MetricAllowlist, "metric-allowlist", o.MetricAllowlist, "Metrics that kube-state-metrics exports, and no others: regular expressions.")
	flags.StringArrayVar(&o.MetricDenylist, "metric-denylist", o.MetricDenylist, "Metrics that kube-state-metrics leaves out: regular expressions.")
	flags.StringArrayVar(&o.MetricOptInList, "metric-opt-in-list", o.MetricOptInList, "Metrics that kube-state-metrics exports though it does not by default: regular expressions.")
	flags.StringArrayVar(&o.MetricLabelsAllowlist, "metric-labels-allowlist", o.MetricLabelsAllowlist, "Labels that kube-state-metrics exports, by resource.")
	flags.StringArrayVar(&o.MetricAnnotationsAllowlist, "metric-annotations-allowlist", o.MetricAnnotationsAllowlist, "Annotations that kube-state-metrics exports, by resource.")
	flags.StringSliceVar(&o.Namespaces, "namespaces", o.Namespaces, "Namespaces that kube-state-metrics is limited to; empty for all.")
	flags.StringSliceVar(&o.NamespacesDenylist, "namespaces-denylist", o.NamespacesDenylist, "Namespaces that kube-state-metrics leaves out.")
	flags.Int64Var(&o.ObjectLimit, "object-limit", o.ObjectLimit, "Objects that kube-state-metrics takes of each list; 0 for all.")
	flags.BoolVar(&o.Authenticate, "authenticate", o.Authenticate, "Send kube-state-metrics the token of the service account.")
	flags.StringVar(&o.MetricsURL, "metrics-url", o.MetricsURL, "URL of the metrics that kube-state-metrics makes of objects.")
	flags.StringVar(&o.TelemetryURL, "telemetry-url", o.TelemetryURL, "URL of the metrics of kube-state-metrics itself.")
	flags.StringVar(&o.Certificate, "certificate", o.Certificate, "File of the certificate that kube-state-metrics has to show, if the URLs are of https.")
	flags.StringVar(&o.Address, "bind-address", o.Address, "Address to serve /readyz, /healthz and /metrics on.")
	flags.DurationVar(&o.Deadline, "deadline", o.Deadline, "Time after which kube-state-metrics counts as ready though objects are missing, with a warning, if it exposes anything.")
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
