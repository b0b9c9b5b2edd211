package integration

import (
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestBadOptionsAreRefused is about what kube-state-metrics exports, and its pods.
func TestBadOptionsAreRefused(t *testing.T) {
	list := func(values ...any) []any { return values }
	tls, secret := metrics("tls", fields("secretName", "a")), fields("secret", fields("name", "a", "key", "ca.crt"))
	for _, test := range []struct {
		name    string
		spec    map[string]any
		message string
	}{
		{"two resources in one", metrics("resources", list("pods,nodes")), "each of spec.metrics.resources must be the plural name of a resource"},
		{"a resource twice", metrics("resources", list("pods", "pods")), "Duplicate value"},
		{"no resources", metrics("resources", []any{}), "should have at least 1 items"},
		{"allowed metrics in one", metrics("metricAllowlist", list("kube_pod_info,kube_pod_created")), "each of spec.metrics.metricAllowlist must be one name or regular expression"},
		{"denied metrics in one", metrics("metricDenylist", list("a,b")), "each of spec.metrics.metricDenylist must be one name or regular expression"},
		{"opt-in metrics in one", metrics("metricOptInList", list("a,b")), "each of spec.metrics.metricOptInList must be one name or regular expression"},
		{"metrics allowed and denied", metrics("metricAllowlist", list("a"), "metricDenylist", list("b")), "remove metricDenylist, and its metrics from metricAllowlist"},
		{"labels of nothing", metrics("metricLabelsAllowlist", list("app")), "write pods=[app,team] or nodes=[*]"},
		{"an empty label", metrics("metricLabelsAllowlist", list("pods=[a,,b]")), "each with at most one *"},
		{"two wildcards", metrics("metricAnnotationsAllowlist", list("pods=[a*b*]")), "each with at most one *"},
		{"a label that is not ASCII", metrics("metricLabelsAllowlist", list("pods=[é]")), "does not start with anything else"},
		{"annotations of nothing", metrics("metricAnnotationsAllowlist", list("pods=app")), "each of spec.metrics.metricAnnotationsAllowlist must be"},
		{"namespaces in one", metrics("namespaces", list("a,b")), "each of spec.metrics.namespaces must be the name of a namespace"},
		{"denied namespaces in one", metrics("namespacesDenylist", list("a,b")), "each of spec.metrics.namespacesDenylist must be the name of a namespace"},
		{"namespaces and others", metrics("namespaces", list("a"), "namespacesDenylist", list("b")), "remove namespacesDenylist, and its namespaces from namespaces"},
		{"a negative limit", metrics("objectLimit", int64(-1)), "greater than or equal to 0"},
		{"custom resources without a configuration", metrics("customResourceState", fields("only", true)), "must have either config, with the configuration itself, or configMap"},
		{"two configurations", metrics("customResourceState", fields("config", "a", "configMap", fields("name", "a"))), "must have either config, with the configuration itself, or configMap"},
		{"a ConfigMap that cannot be", metrics("customResourceState", fields("configMap", fields("name", "A"))), "must be the name of a ConfigMap"},
		{"a key that cannot be", metrics("customResourceState", fields("configMap", fields("name", "a", "key", "a/b"))), "must be a key of a ConfigMap"},
		{"resources and custom resources only", metrics("resources", list("pods"), "customResourceState", fields("config", "a", "only", true)), "because kube-state-metrics then ignores it"},
		{"TLS without a Secret", metrics("tls", fields("secretName", "A")), "spec.metrics.tls.secretName must be the name of a Secret"},
		{"TLS that is not scraped", both(tls, monitoring("type", "ScrapeConfig")), "spec.metrics.tls must not be set without spec.monitoring.tlsConfig"},
		{"TLS that may not be scraped", tls, "spec.metrics.tls must not be set without spec.monitoring.tlsConfig"},
		{"TLS of nothing", monitoring("tlsConfig", fields("ca", secret)), "spec.monitoring.tlsConfig must not be set without spec.metrics.tls"},
		{"no CA", both(tls, monitoring("tlsConfig", fields())), "spec.monitoring.tlsConfig must have ca"},
		{"a CA that is not verified", both(tls, monitoring("tlsConfig", fields("ca", secret, "insecureSkipVerify", true))), "must not have both ca and insecureSkipVerify"},
		{"a CA without a source", both(tls, monitoring("tlsConfig", fields("ca", fields()))), "spec.monitoring.tlsConfig.ca must have either secret or configMap"},
		{"two CAs", both(tls, monitoring("tlsConfig", fields("ca", both(secret, fields("configMap", fields("name", "a", "key", "b")))))), "spec.monitoring.tlsConfig.ca must have either secret or configMap"},
		{"a CA without a key", both(tls, monitoring("tlsConfig", fields("ca", fields("secret", fields("name", "a"))))), "spec.monitoring.tlsConfig.ca.secret.key: Required value"},
		{"a wildcard for a name", both(tls, monitoring("tlsConfig", fields("ca", secret, "serverName", "*.monitoring.svc"))), "without a wildcard, such as ksm.monitoring.svc"},
		{"credentials that cannot be", monitoring("authorization", fields("credentials", fields("name", "A", "key", "token"))), "name must be the name of a Secret or ConfigMap in spec.namespace"},
		{"credentials in a key that cannot be", monitoring("authorization", fields("credentials", fields("name", "a", "key", "a/b"))), "key must be a key of a Secret or ConfigMap"},
		{"no credentials", monitoring("authorization", fields()), "spec.monitoring.authorization.credentials: Required value"},

		{"resources twice", both(metrics("resources", list("pods")), extraArgs("--resources=nodes")), "must not set --resources, because spec.metrics.resources is set"},
		{"allowed metrics twice", both(metrics("metricAllowlist", list("a")), extraArgs("--metric-allowlist=b")), "because spec.metrics.metricAllowlist is set"},
		{"denied metrics twice", both(metrics("metricDenylist", list("a")), extraArgs("--metric-denylist=b")), "because spec.metrics.metricDenylist is set"},
		{"opt-in metrics twice", both(metrics("metricOptInList", list("a")), extraArgs("--metric-opt-in-list=b")), "because spec.metrics.metricOptInList is set"},
		{"labels twice", both(metrics("metricLabelsAllowlist", list("pods=[*]")), extraArgs("--metric-labels-allowlist=pods=[a]")), "because spec.metrics.metricLabelsAllowlist is set"},
		{"annotations twice", both(metrics("metricAnnotationsAllowlist", list("pods=[*]")), extraArgs("--metric-annotations-allowlist=pods=[a]")), "because spec.metrics.metricAnnotationsAllowlist is set"},
		{"namespaces twice", both(metrics("namespaces", list("a")), extraArgs("--namespaces=b")), "because spec.metrics.namespaces is set"},
		{"denied namespaces twice", both(metrics("namespacesDenylist", list("a")), extraArgs("--namespaces-denylist=b")), "because spec.metrics.namespacesDenylist is set"},
		{"the cache twice", both(metrics("useAPIServerCache", true), extraArgs("--use-apiserver-cache")), "because spec.metrics.useAPIServerCache is set"},
		{"custom resources twice", both(metrics("customResourceState", fields("config", "a")), extraArgs("--custom-resource-state-config-file=/a")), "because spec.metrics.customResourceState is set"},

		{"a common label that cannot be", fields("commonLabels", fields("a b", "c")), "each key of spec.commonLabels must be the key of a label"},
		{"a value of a common label that cannot be", fields("commonLabels", fields("a", "b c")), "must be the value of a label"},
		{"a common label of the shard", fields("commonLabels", fields("total-shards", "3")), "spec.commonLabels must not set a label that identifies objects of KSMScale"},
		{"a common label of KSMScale", fields("commonLabels", fields("ksmscale.example.com/retired", "true")), "use another name, such as example.com/team"},
		{"a common label of the instance", fields("commonLabels", fields("app.kubernetes.io/instance", "a")), "use another name, such as example.com/team"},
		{"a common annotation that cannot be", fields("commonAnnotations", fields("a b", "c")), "each key of spec.commonAnnotations must be the key of an annotation"},
		{"a common annotation of the Deployment controller", fields("commonAnnotations", fields("deployment.kubernetes.io/revision", "1")), "spec.commonAnnotations must not set ksmscale.example.com/*, deployment.kubernetes.io/*"},
		{"a common annotation that is too long", fields("commonAnnotations", fields("a", strings.Repeat("a", 4097))), "may not be more than 4096"},
		{"a label of the shard", template("labels", fields("shard-id", "1")), "spec.template.labels must not set a label that identifies pods of a shard"},
		{"a label that cannot be", template("labels", fields("a b", "c")), "each key of spec.template.labels must be the key of a label"},
		{"a value of a label that cannot be", template("labels", fields("a", "b c")), "must be the value of a label"},
		{"an annotation of the shard", template("annotations", fields("ksmscale.example.com/shard-assignment", "1")), "spec.template.annotations must not set"},
		{"an annotation of TLS", template("annotations", fields("ksmscale.example.com/web-config", "1")), "or ksmscale.example.com/web-config"},
		{"an annotation that cannot be", template("annotations", fields("a b", "c")), "each key of spec.template.annotations must be the key of an annotation"},
		{"a service account that cannot be", template("serviceAccountName", "A"), "spec.template.serviceAccountName must be the name of a service account"},
		{"the service account that is made", template("serviceAccountName", "ksm-refused"), "remove it, or use another one"},
		{"a pull policy that does not exist", template("imagePullPolicy", "Sometimes"), `supported values: "Always", "IfNotPresent", "Never"`},
		{"a variable of the shard", template("env", list(fields("name", "SHARD_ID", "value", "1"))), "spec.template.env must not set SHARD_ID or POD_NAME"},
		{"a variable twice", template("env", list(fields("name", "A"), fields("name", "A"))), "Duplicate value"},
		{"a part of no limit", template("goMemoryLimitPercent", int64(90)), "goMemoryLimitPercent must not be set without a memory limit"},
		{"more than the limit", template("goMemoryLimitPercent", int64(101)), "less than or equal to 100"},
		{"two limits of memory", both(memoryLimit(), template("goMemoryLimitPercent", int64(90), "env", list(fields("name", "GOMEMLIMIT", "value", "1GiB")))), "spec.template.env must not set GOMEMLIMIT"},
		{"a volume of custom resources", template("volumes", list(fields("name", "custom-resource-state", "emptyDir", fields()))), "spec.template.volumes must not have the name custom-resource-state"},
		{"a volume of certificates", template("volumes", list(fields("name", "kube-state-metrics-tls", "emptyDir", fields()))), "must not have the name custom-resource-state or kube-state-metrics-tls"},
		{"a volume without a name", template("volumes", list(fields("emptyDir", fields()))), "Required value"},
		{"a priority class that cannot be", template("priorityClassName", "A"), "spec.template.priorityClassName must be the name of a PriorityClass"},
		{"a policy of DNS that does not exist", template("dnsPolicy", "Any"), `supported values: "ClusterFirst"`},
		{"no name servers", template("dnsPolicy", "None"), "set dnsConfig, or another policy"},
		{"a folder of the node", template("volumes", list(fields("name", "a", "hostPath", fields("path", "/")))), "spec.template.volumes must not have a hostPath"},
		{"privileges", template("containerSecurityContext", fields("privileged", true)), "must not set privileged or allowPrivilegeEscalation to true"},
		{"a process of the host", template("containerSecurityContext", fields("windowsOptions", fields("hostProcess", true))), "must not set hostProcess to true"},
		{"pods that are processes of the host", template("securityContext", fields("windowsOptions", fields("hostProcess", true))), "must not set hostProcess to true"},
		{"more privileges", template("containerSecurityContext", fields("allowPrivilegeEscalation", true)), "must not set privileged or allowPrivilegeEscalation to true"},
		{"capabilities", template("containerSecurityContext", fields("capabilities", fields("add", list("NET_ADMIN")))), "spec.template.containerSecurityContext.capabilities must not have add"},
		{"all of /proc", template("containerSecurityContext", fields("procMount", "Unmasked")), "spec.template.containerSecurityContext.procMount must not be Unmasked"},
		{"a container", template("containers", list()), `unknown field "spec.template.containers"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := createUnstructured(t, "refused", test.spec)
			require.Error(t, err)
			assert.Contains(t, err.Error(), test.message)
		})
	}
}

func TestGoodOptionsAreAccepted(t *testing.T) {
	list := func(values ...any) []any { return values }
	for _, test := range []struct {
		name string
		spec map[string]any
	}{
		{"metrics", metrics(
			"resources", list("pods", "secrets"), "metricAllowlist", list("^kube_pod_.*$"), "metricOptInList", list("kube_pod_labels"),
			"metricLabelsAllowlist", list("pods=[*]", "nodes=[example.com/a,b]"), "metricAnnotationsAllowlist", list("*=[*]"),
			"namespaces", list("default", "kube-system"), "useAPIServerCache", true, "objectLimit", int64(1000), "authFilter", true,
			"customResourceState", fields("configMap", fields("name", "custom-resources")))},
		{"other-flags", both(metrics("metricDenylist", list("kube_secret_.*"), "namespacesDenylist", list("test"),
			"customResourceState", fields("config", "kind: CustomResourceStateMetrics", "only", true)), extraArgs("--v=4", "--enable-gzip-encoding"))},
		{"tls", both(metrics("tls", fields("secretName", "certificate"), "authFilter", true), monitoring("type", "None"))},
		{"tls-least-loaded", both(both(metrics("tls", fields("secretName", "certificate"), "authFilter", true), monitoring("type", "None")), sharding("replicationStrategy", "least-loaded"))},
		{"tls-scraped", both(metrics("tls", fields("secretName", "certificate"), "authFilter", true), monitoring(
			"tlsConfig", fields("ca", fields("configMap", fields("name", "authority", "key", "ca.crt")), "serverName", "ksm.monitoring.svc"),
			"authorization", fields("credentials", fields("name", "reader", "key", "token"))))},
		{"tls-of-the-system", both(metrics("tls", fields("secretName", "certificate")), monitoring("tlsConfig", fields("serverName", "metrics.example.com")))},
		{"tls-unverified", both(metrics("tls", fields("secretName", "certificate")), monitoring("type", "ServiceMonitor", "tlsConfig", fields("insecureSkipVerify", true)))},
		{"credentials-first", monitoring("authorization", fields("credentials", fields("name", "reader", "key", "token")))},
		{"common", fields("commonLabels", fields("example.com/team", "a", "app.kubernetes.io/part-of", "monitoring"), "commonAnnotations", fields("example.com/owner", "Team A"))},
		{"pods", both(memoryLimit(), template(
			"labels", fields("example.com/team", "a"), "annotations", fields("example.com/owner", "Team A"), "serviceAccountName", "own",
			"imagePullSecrets", list(fields("name", "registry")), "imagePullPolicy", "Always", "goMemoryLimitPercent", int64(90),
			"env", list(fields("name", "A", "value", "b"), fields("name", "C", "valueFrom", fields("fieldRef", fields("fieldPath", "spec.nodeName")))),
			"volumes", list(fields("name", "scratch", "emptyDir", fields())), "volumeMounts", list(fields("name", "scratch", "mountPath", "/scratch")),
			"securityContext", fields("fsGroup", int64(65534)), "containerSecurityContext", fields("allowPrivilegeEscalation", false),
			"affinity", fields("nodeAffinity", fields("requiredDuringSchedulingIgnoredDuringExecution", fields("nodeSelectorTerms",
				list(fields("matchExpressions", list(fields("key", "pool", "operator", "In", "values", list("monitoring")))))))),
			"priorityClassName", "system-cluster-critical", "hostNetwork", true, "dnsPolicy", "ClusterFirstWithHostNet",
			"dnsConfig", fields("options", list(fields("name", "ndots", "value", "1")))))},
	} {
		t.Run(test.name, func(t *testing.T) {
			require.NoError(t, createUnstructured(t, test.name, test.spec))
		})
	}
}

func metrics(namesAndValues ...any) map[string]any {
	return fields("metrics", fields(namesAndValues...))
}

func template(namesAndValues ...any) map[string]any {
	return fields("template", fields(namesAndValues...))
}

func monitoring(namesAndValues ...any) map[string]any {
	return fields("monitoring", fields(namesAndValues...))
}

func memoryLimit() map[string]any {
	return fields("resources", fields("limits", fields("memory", "1Gi")))
}

// both are the fields of two specs without common fields.
func both(one, other map[string]any) map[string]any {
	all := maps.Clone(one)
	maps.Copy(all, other)
	return all
}
