package objects

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/ksmflags"
)

// Flags of kube-state-metrics that the gate also reads.
const (
	resourcesFlag                  = "--resources"
	metricAllowlistFlag            = "--metric-allowlist"
	metricDenylistFlag             = "--metric-denylist"
	metricOptInListFlag            = "--metric-opt-in-list"
	metricLabelsAllowlistFlag      = "--metric-labels-allowlist"
	metricAnnotationsAllowlistFlag = "--metric-annotations-allowlist"
	namespacesFlag                 = "--namespaces"
	namespacesDenylistFlag         = "--namespaces-denylist"
	objectLimitFlag                = "--object-limit"
	customResourceConfigFlag       = "--custom-resource-state-config"
	customResourceFileFlag         = "--custom-resource-state-config-file"
)

const (
	authFilterFlag  = "--auth-filter"
	secretsResource = "secrets"
)

// defaultResources are the resources that kube-state-metrics v2.20.0 exports by default (pkg/options/resource.go), with two exceptions.
// It has no right to read Secrets. Older versions do not know the admission policies and refuse to start with them.
var defaultResources = []string{
	"certificatesigningrequests", "configmaps", "cronjobs", "daemonsets", "deployments", "endpointslices",
	"horizontalpodautoscalers", "ingresses", "jobs", "leases", "limitranges", "mutatingwebhookconfigurations",
	"namespaces", "networkpolicies", "nodes", "persistentvolumeclaims", "persistentvolumes",
	"poddisruptionbudgets", "pods", "replicasets", "replicationcontrollers", "resourcequotas", "services",
	"statefulsets", "storageclasses", "validatingwebhookconfigurations", "volumeattachments",
}

// UnknownResources returns the exported resources that no tested version of kube-state-metrics knows, in the order of the spec.
func UnknownResources(ksmScale *v1alpha1.KSMScale) []string {
	return slices.DeleteFunc(slices.Clone(ExportedResources(ksmScale)), func(name string) bool { return slices.Contains(ksmflags.Resources, name) })
}

// idleTimeoutSince is the first version that has --server-idle-timeout (pkg/options/options.go). Older versions refuse to start with it.
// A tag with another major number is a date or a version of a packager.
var idleTimeoutSince = version.MustParseGeneric("2.13.0")

// monitorFlags returns the arguments of kube-state-metrics. It listens on "::" by default, which Go treats as all IPv4 and IPv6 addresses.
func monitorFlags(ksmScale *v1alpha1.KSMScale, shard v1alpha1.Shard) []string {
	args := []string{
		fmt.Sprintf("--port=%d", v1alpha1.PortMetrics),
		fmt.Sprintf("--telemetry-port=%d", v1alpha1.PortTelemetry),
		fmt.Sprintf("--shard=%d", shard.ID),
		fmt.Sprintf("--total-shards=%d", shard.Total),
	}
	args = append(args, connectionArgs(ksmScale.Spec.MonitorImage, ksmScale.Spec.ScrapeInterval())...)
	metrics := &ksmScale.Spec.Metrics
	// The extra arguments can also set the resources, and are added below.
	if len(extraArg(ksmScale, resourcesFlag)) == 0 {
		args = appendList(args, resourcesFlag, ExportedResources(ksmScale))
	}
	args = append(args, metricsArgs(metrics)...)
	args = append(args, customResourceArgs(metrics.CustomResourceState)...)
	args = append(args, tlsArgs(metrics)...)
	if ksmScale.Spec.Template != nil {
		args = append(args, ksmScale.Spec.Template.ExtraArgs...)
	}
	return args
}

// ImageVersion returns the tag of an image of kube-state-metrics, such as v2.20.0; empty if it has none.
func ImageVersion(image string) string {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return ""
	}
	tagged, ok := named.(reference.Tagged)
	if !ok {
		return ""
	}
	return tagged.Tag()
}

// connectionArgs configure kube-state-metrics to close the connections that Prometheus keeps between scrapes. A new connection goes to a
// pod that stays. A kept connection can lead to a pod that is being deleted, which ends in the middle of a scrape. The connections close
// well before the next scrape, even with a short interval. An image whose tag is not a version counts as old.
func connectionArgs(image string, interval time.Duration) []string {
	tag, err := version.ParseGeneric(ImageVersion(image))
	if err != nil || tag.LessThan(idleTimeoutSince) || tag.Major() != idleTimeoutSince.Major() {
		return nil
	}
	return []string{fmt.Sprintf("--server-idle-timeout=%s", min(time.Second, interval/10))}
}

// listFlag is a flag of kube-state-metrics whose value is a list, with its items in the spec.
type listFlag struct {
	flag  string
	items []string
}

// listFlags returns the flags that select the exported metrics. The gate reads them too.
func listFlags(metrics *v1alpha1.MetricsConfig) []listFlag {
	return []listFlag{
		{metricAllowlistFlag, metrics.MetricAllowlist},
		{metricDenylistFlag, metrics.MetricDenylist},
		{metricLabelsAllowlistFlag, metrics.MetricLabelsAllowlist},
		{metricAnnotationsAllowlistFlag, metrics.MetricAnnotationsAllowlist},
		{namespacesFlag, metrics.Namespaces},
		{namespacesDenylistFlag, metrics.NamespacesDenylist},
		{metricOptInListFlag, metrics.MetricOptInList},
	}
}

// metricsArgs returns the arguments for spec.metrics, without custom resources and TLS.
func metricsArgs(metrics *v1alpha1.MetricsConfig) []string {
	var args []string
	for _, list := range listFlags(metrics) {
		args = appendList(args, list.flag, list.items)
	}
	if metrics.UseAPIServerCache {
		args = append(args, "--use-apiserver-cache")
	}
	if metrics.ObjectLimit > 0 {
		args = append(args, fmt.Sprintf("%s=%d", objectLimitFlag, metrics.ObjectLimit))
	}
	if metrics.AuthFilter {
		args = append(args, authFilterFlag)
	}
	return args
}

// customResourceArgs returns the arguments for custom resources.
func customResourceArgs(state *v1alpha1.CustomResourceState) []string {
	if state == nil {
		return nil
	}
	var args []string
	if state.ConfigMap.Name != "" {
		args = append(args, customResourceFileFlag+"="+customResourceStateFile)
	} else {
		args = append(args, customResourceConfigFlag+"="+state.Config)
	}
	if state.Only {
		args = append(args, "--custom-resource-state-only")
	}
	return args
}

// literal escapes arguments, because Kubernetes replaces $(NAME) by an environment variable and $$ by $.
func literal(args []string) []string {
	escaped := make([]string, len(args))
	for i, arg := range args {
		escaped[i] = strings.ReplaceAll(arg, "$", "$$")
	}
	return escaped
}

// appendList appends a flag whose value is a list, unless that is empty.
func appendList(args []string, flag string, values []string) []string {
	if len(values) == 0 {
		return args
	}
	return append(args, flag+"="+strings.Join(values, ","))
}

// ExportedResources returns the resources that kube-state-metrics exports, without custom resources.
func ExportedResources(ksmScale *v1alpha1.KSMScale) []string {
	metrics := &ksmScale.Spec.Metrics
	switch chosen := extraArg(ksmScale, resourcesFlag); {
	case metrics.CustomResourceState != nil && metrics.CustomResourceState.Only:
		return nil
	case len(metrics.Resources) > 0:
		return metrics.Resources
	case len(chosen) > 0:
		return chosen
	default:
		return defaultResources
	}
}

// ExportsCustomResources reports whether kube-state-metrics exports custom resources. It ignores a flag with an empty value.
func ExportsCustomResources(ksmScale *v1alpha1.KSMScale) bool {
	configured := slices.Concat(extraArgs(ksmScale, customResourceConfigFlag), extraArgs(ksmScale, customResourceFileFlag))
	return ksmScale.Spec.Metrics.CustomResourceState != nil || slices.ContainsFunc(configured, func(value string) bool { return value != "" })
}

// exportsSecrets reports whether kube-state-metrics needs to read Secrets.
func exportsSecrets(ksmScale *v1alpha1.KSMScale) bool {
	return slices.Contains(ExportedResources(ksmScale), secretsResource)
}

// itemsOf returns the items of a list in spec.metrics or, if there are none, in the extra arguments.
func itemsOf(ksmScale *v1alpha1.KSMScale, list listFlag) []string {
	if len(list.items) > 0 {
		return list.items
	}
	return extraArg(ksmScale, list.flag)
}

// extraArg returns the items of a list flag in the extra arguments.
func extraArg(ksmScale *v1alpha1.KSMScale, flag string) []string {
	return ksmflags.Items(extraArgs(ksmScale, flag)...)
}

// extraArgs returns the values of a flag in the extra arguments.
func extraArgs(ksmScale *v1alpha1.KSMScale, flag string) []string {
	if ksmScale.Spec.Template == nil {
		return nil
	}
	return valuesOf(ksmScale.Spec.Template.ExtraArgs, flag)
}

// listedIn returns the items of a list flag in some arguments.
func listedIn(args []string, flag string) []string { return ksmflags.Items(valuesOf(args, flag)...) }

// valuesOf returns the values of a flag in some arguments.
func valuesOf(args []string, flag string) []string {
	var values []string
	for _, arg := range args {
		if name, value, _ := strings.Cut(arg, "="); name == flag {
			values = append(values, value)
		}
	}
	return values
}
