package specs

import "strings"

// names are names and other short strings.
var names = []string{
	"main", "a", "a-b", "0", strings.Repeat("a", 44), strings.Repeat("b", 45), strings.Repeat("c", 63), strings.Repeat("d.", 126) + "d",
	"example.com/team", "A", "a.b", "a_b", "", " ", "a b", ".", "..", "-", "é", "\u00a0a", "a\u2028", "a\n", "$(SHARD_ID)", "%d", "{}", "true", "null", "1",
}

var quantities = []any{
	"100m", "1Gi", int64(1), "0", int64(0), "2", "0.5", "1500u", "1n", "0.1Gi", "128Ei", "1e3", "-1", int64(-1), "9223372036854775807", "9223372036854775808", "0.0000000001",
}

// texts has strings that fit a field, by its name; "key" is a key of the map of that name.
var texts = map[string][]string{
	"monitorImage": {
		"registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.20.0", "ksm", "ksm:v2.10.1", "localhost:5000/a/b@sha256:" + strings.Repeat("0", 64),
		"ksm:v2.13.0-debian-12-r3", "KSM:latest", ":", "a:b:c", "\u00a0ksm", "ksm\u3000",
	},
	"interval":                   {"30s", "1s", "10m", "1m30s", "0.5m", "1500ms", "1h", "-1s", "60000ms", "1.0s", "+30s"},
	"scrapeTimeout":              {"10s", "1s", "100ms", "1500ms", "1.0005s", "100000001ns", "1m", "0", "1000us", "9m59.9999s"},
	"resources":                  {"pods", "nodes", "secrets", "leases", "foos", "ingressclasses"},
	"metricAllowlist":            {"kube_pod_info", "^kube_.+$", "a|b", "(", "(?=a)", "$$", `\d`, "[", "$(A)"},
	"metricDenylist":             {"kube_pod_info", "^kube_secret_.+$", "(", "(?i)a"},
	"metricOptInList":            {"kube_pod_nodeselectors", "^kube_.+$"},
	"metricLabelsAllowlist":      {"pods=[app,team]", "nodes=[*]", "pods=[]", "pods=[a, b]", "pods=[a,,b]", "pods=[é]", "jobs=[a**]", "*=[*]"},
	"metricAnnotationsAllowlist": {"pods=[example.com/team]", "namespaces=[*]", "pods=[a/*]", "pods=[,]"},
	"namespaces":                 {"default", "kube-system", "a", "0"},
	"namespacesDenylist":         {"default", "kube-system"},
	"config":                     {"kind: CustomResourceStateMetrics\nspec: {resources: []}\n", "{", "$(A) $$"},
	"key":                        {"ca.crt", "config.yaml", "..", ".", "...", "..a", "-", "tls.crt", "example.com/team", "node-role.kubernetes.io/worker"},
	"secretName":                 {"kube-state-metrics-tls", "a", "a.b"},
	"serverName":                 {"ksm.monitoring.svc", "a"},
	"extraArgs": {
		"--v=4", "--resources=pods,secrets", "--resources=", "--metric-labels-allowlist=pods=[*]", "--kube-state=a b", "--a=$$", "--a=$", "--server-idle-timeout=1s", "--shard=1",
		"--custom-resource-state-config=", "--a=\n", "--a=\x00", "-h", "--pod=a", "--use-apiserver-cache=", "--namespaces= a ,b", "--a=é",
	},
	"labels key":            {"example.com/team", "team", "a.b/c", "app.kubernetes.io/name", "shard-id"},
	"annotations key":       {"example.com/owner", "prometheus.io/scrape", "Team", "ksmscale.example.com/web-config"},
	"commonLabels key":      {"example.com/team", "team", "app.kubernetes.io/part-of"},
	"commonAnnotations key": {"example.com/owner", "argocd.argoproj.io/sync-wave", "Owner"},
	"nodeSelector key":      {"kubernetes.io/os", "node-role.kubernetes.io/worker"},
	"matchLabels key":       {"node-role.kubernetes.io/worker", "a"},
	"requests key":          {"cpu", "memory", "ephemeral-storage", "example.com/gpu", "hugepages-2Mi", "foo", "requests.cpu"},
	"limits key":            {"memory", "cpu", "example.com/gpu", "foo"},
	"name":                  {"a", "A", "scratch", "GOGC", "GOMEMLIMIT", "SHARD_ID", "a.b", "a-b", "1a", "a=b", "gpu"},
	"mountPath":             {"/scratch", "/a:b", "/", "//a", "/.", "/etc", "/etc/kube-state-metrics/a", "a", "/dev/shm"},
	"priorityClassName":     {"system-cluster-critical", "a"},
	"serviceAccountName":    {"own", "ksm-main", "default"},
	"value":                 {"a", "", "$(POD_NAME)", strings.Repeat("v", 63)},
	"nameservers":           {"10.0.0.10", "::1", "a", "010.0.0.1"},
	"topologyKey":           {"kubernetes.io/hostname", "topology.kubernetes.io/zone", "a b"},
	"type":                  {"RuntimeDefault", "Localhost", "a"},
	"add":                   {"NET_ADMIN", "ALL"},
}
