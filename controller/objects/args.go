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

// Flags of kube-state-metrics that the gate has to know of too.
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

// defaultResources are what kube-state-metrics v2.20.0 exports by default (pkg/options/resource.go) but for
// secrets, which it has no right to read, and for the admission policies, which older versions do not know and
// refuse to start with.
var defaultResources = []string{
	"certificatesigningrequests", "configmaps", "cronjobs", "daemonsets", "deployments", "endpointslices",
	"horizontalpodautoscalers", "ingresses", "jobs", "leases", "limitranges", "mutatingwebhookconfigurations",
	"namespaces", "networkpolicies", "nodes", "persistentvolumeclaims", "persistentvolumes",
	"poddisruptionbudgets", "pods", "replicasets", "replicationcontrollers", "resourcequotas", "services",
	"statefulsets", "storageclasses", "validatingwebhookconfigurations", "volumeattachments",
}

// idleTimeoutSince is the first version that has --server-idle-timeout (pkg/options/options.go). Others do not start with it. A
// tag with another first number than that has a date, or the number of whoever packed it.
var idleTimeoutSince = version.MustParseGeneric("2.13.0")

// args are kube-state-metrics' flags. It listens on "::" by default, which for Go is all addresses, IPv4 and IPv6, and those of
// IPv4 where the kernel has no IPv6.
func args(ksmScale *v1alpha1.KSMScale, shard v1alpha1.Shard) []string {
	args := []string{
		fmt.Sprintf("--port=%d", v1alpha1.PortMetrics),
		fmt.Sprintf("--telemetry-port=%d", v1alpha1.PortTelemetry),
		fmt.Sprintf("--shard=%d", shard.ID),
		fmt.Sprintf("--total-shards=%d", shard.Total),
	}
	args = append(args, connectionArgs(ksmScale.Spec.MonitorImage, ksmScale.Spec.ScrapeInterval())...)
	metrics := &ksmScale.Spec.Metrics
	// Those among the extra arguments are added with them.
	if len(extraArg(ksmScale, resourcesFlag)) == 0 {
		args = appendList(args, resourcesFlag, exportedResources(ksmScale))
	}
	args = append(args, metricsArgs(metrics)...)
	args = append(args, customResourceArgs(metrics.CustomResourceState)...)
	args = append(args, tlsArgs(metrics)...)
	if ksmScale.Spec.Template != nil {
		args = append(args, ksmScale.Spec.Template.ExtraArgs...)
	}
	return args
}

// connectionArgs have kube-state-metrics close the connections that Prometheus keeps between scrapes, so that each scrape goes
// to a pod that stays: kube-state-metrics ends at once when it is told to, in the middle of a scrape over a connection that was
// kept. They are closed well before the next scrape, if that is due in less than ten seconds. An image whose tag names no version
// is taken for an old one.
func connectionArgs(image string, interval time.Duration) []string {
	tagged, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return nil
	}
	var tag string
	if named, ok := tagged.(reference.Tagged); ok {
		tag = named.Tag()
	}
	is, err := version.ParseGeneric(tag)
	if err != nil || is.LessThan(idleTimeoutSince) || is.Major() != idleTimeoutSince.Major() {
		return nil
	}
	return []string{fmt.Sprintf("--server-idle-timeout=%s", min(time.Second, interval/10))}
}

// list is a flag of kube-state-metrics with the items that a field of the spec has for it.
type list struct {
	flag  string
	items []string
}

// lists are those that say what is exported, which the gate has to know too.
func lists(metrics *v1alpha1.MetricsConfig) []list {
	return []list{
		{metricAllowlistFlag, metrics.MetricAllowlist},
		{metricDenylistFlag, metrics.MetricDenylist},
		{metricLabelsAllowlistFlag, metrics.MetricLabelsAllowlist},
		{metricAnnotationsAllowlistFlag, metrics.MetricAnnotationsAllowlist},
		{namespacesFlag, metrics.Namespaces},
		{namespacesDenylistFlag, metrics.NamespacesDenylist},
		{metricOptInListFlag, metrics.MetricOptInList},
	}
}

func metricsArgs(metrics *v1alpha1.MetricsConfig) []string {
	var args []string
	for _, list := range lists(metrics) {
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

// literal are arguments as a container has to name them for its program to get these: Kubernetes puts an environment variable
// where they have $(NAME), and $ where they have $$.
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

// exportedResources are what kube-state-metrics is told to export, but for custom resources.
func exportedResources(ksmScale *v1alpha1.KSMScale) []string {
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

// exportsCustomResources tells whether kube-state-metrics exports some. An empty value is as none to it.
func exportsCustomResources(ksmScale *v1alpha1.KSMScale) bool {
	configured := slices.Concat(extraArgs(ksmScale, customResourceConfigFlag), extraArgs(ksmScale, customResourceFileFlag))
	return ksmScale.Spec.Metrics.CustomResourceState != nil || slices.ContainsFunc(configured, func(value string) bool { return value != "" })
}

// exportsSecrets tells whether kube-state-metrics needs to read Secrets.
func exportsSecrets(ksmScale *v1alpha1.KSMScale) bool {
	return slices.Contains(exportedResources(ksmScale), secretsResource)
}

// either is a list of spec.metrics, or of the flag for it among the extra arguments.
func either(ksmScale *v1alpha1.KSMScale, list []string, flag string) []string {
	if len(list) > 0 {
		return list
	}
	return extraArg(ksmScale, flag)
}

// extraArg are the items of a flag whose value is a list, if the user has set it.
func extraArg(ksmScale *v1alpha1.KSMScale, flag string) []string {
	return ksmflags.Items(extraArgs(ksmScale, flag)...)
}

// extraArgs are the values of a flag that the user has set.
func extraArgs(ksmScale *v1alpha1.KSMScale, flag string) []string {
	if ksmScale.Spec.Template == nil {
		return nil
	}
	return valuesOf(ksmScale.Spec.Template.ExtraArgs, flag)
}

// listedIn are the items of a flag whose value is a list.
func listedIn(args []string, flag string) []string { return ksmflags.Items(valuesOf(args, flag)...) }

// valuesOf are the values of a flag.
func valuesOf(args []string, flag string) []string {
	var values []string
	for _, arg := range args {
		if name, value, _ := strings.Cut(arg, "="); name == flag {
			values = append(values, value)
		}
	}
	return values
}
