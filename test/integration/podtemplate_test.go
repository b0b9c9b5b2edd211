package integration

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestWhatPodsCannotRunWithIsRefused is about what breaks pods, or the division into shards, after the API server has accepted it.
func TestWhatPodsCannotRunWithIsRefused(t *testing.T) {
	for _, test := range []struct {
		name    string
		spec    map[string]any
		message string
	}{
		{"a variable in a flag's name", extraArgs("--$(EVIL)=5"), "must be one flag, written as --flag or --flag=value"},
		{"a variable in a flag's value", extraArgs("--v=$(LEVEL)"), "write the value itself"},
		{"an escaped variable", extraArgs("--metric-opt-in-list=a$$(B)"), "write the value itself"},
		{"a flag without a name", extraArgs("--=5"), "must be one flag"},
		{"a flag with three dashes", extraArgs("---v=5"), "must be one flag"},
		{"two flags in one", extraArgs("--v 5"), "must be one flag"},
		{"a command", extraArgs("version"), "must be one flag"},
		{"a list apart from its value", extraArgs("--resources", "--v=4"), "join a flag and its value with '='"},
		{"a shard by the API server", extraArgs("--server-side-sharding"), "set spec.sharding.enabled and spec.sharding.shardCount instead"},
		{"another total of shards", extraArgs("--server-side-shard-count=5"), "set spec.sharding.enabled and spec.sharding.shardCount instead"},
		{"shards by themselves", extraArgs("--auto_sharding=true"), "set spec.sharding.enabled and spec.sharding.shardCount instead"},
		{"labels twice among the flags", extraArgs("--metric-labels-allowlist=pods=[a]", "--metric-labels-allowlist=nodes=[a]"), "join their values with commas"},
		{"annotations twice among the flags", extraArgs("--metric-annotations-allowlist=pods=[a]", "--metric-annotations-allowlist=nodes=[a]"), "join their values with commas"},

		{"flags longer than an argument", extraArgs(items(17, "--v=4", 4000)...), "must have at most 65536 bytes in all"},
		{"flags of characters of several bytes", extraArgs("--metric-opt-in-list="+strings.Repeat("ü", 4000), "--a="+strings.Repeat("€", 4000),
			"--b="+strings.Repeat("€", 4000), "--c="+strings.Repeat("€", 4000), "--d="+strings.Repeat("€", 4000), "--e="+strings.Repeat("€", 4000)), "must have at most 65536 bytes in all"},
		{"an allowlist longer than an argument", metrics("metricAllowlist", items(512, "a", 200)), "spec.metrics.metricAllowlist must have at most 65536 bytes"},
		{"a denylist longer than an argument", metrics("metricDenylist", items(512, "a", 200)), "spec.metrics.metricDenylist must have at most 65536 bytes"},
		{"an opt-in list longer than an argument", metrics("metricOptInList", items(512, "ü", 100)), "spec.metrics.metricOptInList must have at most 65536 bytes"},
		{"too many labels", metrics("metricLabelsAllowlist", allowlist(9, 4000)), "spec.metrics.metricLabelsAllowlist must have at most 32768 bytes"},
		{"too many annotations", metrics("metricAnnotationsAllowlist", allowlist(9, 4000)), "spec.metrics.metricAnnotationsAllowlist must have at most 32768 bytes"},
		{"a configuration longer than an argument", metrics("customResourceState", fields("config", strings.Repeat("a", 131001))), "put it into a ConfigMap, and set spec.metrics.customResourceState.configMap instead"},
		{"a configuration of characters of several bytes", metrics("customResourceState", fields("config", strings.Repeat("€", 43667))), "put it into a ConfigMap"},
		{"a variable longer than an argument", template("env", []any{fields("name", "A", "value", strings.Repeat("€", 32000))}), "put long values into a volume"},

		{"a mount over a certificate", template("volumeMounts", mount("/etc/kube-state-metrics/tls")), "because the files of spec.metrics are mounted there"},
		{"a mount over all files", template("volumeMounts", mount("/etc/kube-state-metrics")), "because the files of spec.metrics are mounted there"},
		{"a mount over the folder of all", template("volumeMounts", mount("/etc")), "because the files of spec.metrics are mounted there"},
		{"a mount over everything", template("volumeMounts", mount("/")), "because the files of spec.metrics are mounted there"},
		{"a mount nowhere", template("volumeMounts", mount("scratch")), "must be an absolute path"},

		{"a key of a node's label that cannot be", template("nodeSelector", fields("a b", "c")), "each key of spec.template.nodeSelector must be the key of a label"},
		{"a value of a node's label that cannot be", template("nodeSelector", fields("a", "b c")), "must be the value of a label"},
		{"a key of a monitor's label that cannot be", monitoring("labels", fields("a b", "c")), "each key of spec.monitoring.labels must be the key of a label"},
		{"a value of a monitor's label that cannot be", monitoring("labels", fields("a", "b c")), "must be the value of a label"},
		{"a toleration of a taint that cannot be", toleration("key", "a b"), "must be the key of a taint"},
		{"a toleration of a value that cannot be", toleration("key", "a", "value", "b c"), "must be the value of a label"},
		{"a toleration of nothing", toleration("effect", "NoSchedule"), "or set operator to Exists to tolerate all taints"},
		{"a toleration of any value and of one", toleration("key", "a", "operator", "Exists", "value", "b"), "remove value, or set operator to Equal"},
		{"a toleration by another operator", toleration("key", "a", "operator", "Is"), "Unsupported value"},
		{"a toleration of another effect", toleration("key", "a", "effect", "NoEntry"), "Unsupported value"},
		{"a toleration for less than no time", toleration("key", "a", "effect", "NoExecute", "tolerationSeconds", int64(-1)), "greater than or equal to 0"},
		{"a toleration for a time without effect", toleration("key", "a", "effect", "NoSchedule", "tolerationSeconds", int64(5)), "set effect, or remove tolerationSeconds"},
		{"a negative tolerance", behavior(fields("tolerance", "-0.1")), "tolerance must be at least 0"},
		{"a negative tolerance that is whole", behavior(fields("tolerance", int64(-1))), "tolerance must be at least 0"},

		{"a token for anyone on the node", both(metrics("authFilter", true), template("hostNetwork", true)), "set spec.metrics.tls, or remove hostNetwork or authFilter"},
		{"an interval of parts of seconds", monitoring("interval", "1500ms"), "write 1s or 2s instead of 1500ms"},
		{"an interval of whole and parts of seconds", monitoring("interval", "1m0.5s"), "must be whole seconds"},

		{"claims of the gate", gateResources("claims", []any{fields("name", "gpu")}), "spec.template.gate.resources.claims must not be set"},
		{"a gate that requests more than its limit", gateResources("requests", fields("memory", "1Gi"), "limits", fields("memory", "500Mi")), "spec.template.gate.resources.requests must not be above its limits"},
		{"requests above the limit", fields("resources", fields("requests", fields("cpu", int64(1)), "limits", fields("cpu", "500m"))), "spec.resources.requests must not be above spec.resources.limits"},
		{"half a core as a number", gateResources("limits", fields("cpu", 0.5)), "spec.template.gate.resources.limits.cpu"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := createUnstructured(t, "refused", test.spec)
			require.Error(t, err)
			assert.Contains(t, err.Error(), test.message)
		})
	}
}

func TestWhatPodsCanRunWithIsAccepted(t *testing.T) {
	for _, test := range []struct {
		name string
		spec map[string]any
	}{
		{"flags", extraArgs("--v=4", "--log_file=", "--enable-gzip-encoding", "--vmodule=shard=4", "--metric-opt-in-list=^a$,b$$", "--server-read-timeout=1m")},
		{"long-flags", extraArgs(items(16, "--v=4", 4096)...)},
		{"long-lists", metrics("metricAllowlist", items(512, "a", 127), "metricOptInList", items(512, "b", 127), "metricLabelsAllowlist", allowlist(8, 4095),
			"metricAnnotationsAllowlist", allowlist(8, 4095), "namespaces", names(512, 63))},
		{"a-long-configuration", metrics("customResourceState", fields("config", strings.Repeat("a", 131000)))},
		{"a-long-variable", template("env", []any{fields("name", "A", "value", strings.Repeat("€", 31999))})},
		{"mounts", template("volumes", []any{fields("name", "scratch", "emptyDir", fields())}, "volumeMounts",
			[]any{fields("name", "scratch", "mountPath", "/etc/kube"), fields("name", "scratch", "mountPath", "/etc/kube-state-metrics.d/")})},
		{"nodes", template("nodeSelector", fields("kubernetes.io/os", "windows", "node-role.kubernetes.io/monitoring", ""))},
		{"tolerations", template("tolerations", []any{
			fields("operator", "Exists"), fields("key", "a", "operator", "", "value", "", "effect", ""), fields("key", "example.com/cores", "operator", "Gt", "value", "4"),
			fields("key", "a", "operator", "Exists", "value", "", "effect", "NoExecute", "tolerationSeconds", int64(0)),
		})},
		{"no-tolerance", behavior(fields("tolerance", int64(0)))},
		{"hostnetwork-with-tls", both(both(metrics("authFilter", true, "tls", fields("secretName", "a")), template("hostNetwork", true)), monitoring("type", "None"))},
		{"hostnetwork-without-tokens", both(metrics("authFilter", false), template("hostNetwork", true))},
		{"a-minute", monitoring("interval", "1m", "scrapeTimeout", "1500ms")},
		{"a-limit", monitoring("bodySizeLimit", "16Mi")},
		{"the-gate", gateResources("requests", fields("cpu", "10m"), "limits", fields("cpu", int64(1), "memory", "256Mi"))},
		{"the-gate-by-default", template("gate", fields())},
	} {
		t.Run(test.name, func(t *testing.T) {
			require.NoError(t, createUnstructured(t, test.name, test.spec))
		})
	}
}

// names are different words that are a number of bytes long.
func names(number, size int) []any {
	list := make([]any, number)
	for i := range list {
		word := strings.Repeat("a", i/26) + string(rune('a'+i%26))
		list[i] = strings.Repeat("b", size-len(word)) + word
	}
	return list
}

// items are different words with the same beginning and number of characters.
func items(number int, begin string, size int) []any {
	list := names(number, size-len([]rune(begin)))
	for i := range list {
		word, _ := list[i].(string)
		if begin == "ü" {
			word = strings.ReplaceAll(word, "b", begin)
		}
		list[i] = begin + word
	}
	return list
}

// allowlist has a number of items, each of that many bytes.
func allowlist(number, size int) []any {
	list := names(number, size-len("pods=[]"))
	for i := range list {
		keys, _ := list[i].(string)
		list[i] = "pods=[" + keys + "]"
	}
	return list
}

func mount(path string) []any { return []any{fields("name", "scratch", "mountPath", path)} }

func toleration(namesAndValues ...any) map[string]any {
	return template("tolerations", []any{fields(namesAndValues...)})
}

func gateResources(namesAndValues ...any) map[string]any {
	return template("gate", fields("resources", fields(namesAndValues...)))
}
