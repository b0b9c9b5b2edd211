package integration

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
)

func TestBadSpecsAreRefused(t *testing.T) {
	for _, test := range []struct {
		name string
		// spec is as in the YAML of a user.
		spec map[string]any
		// message is the expected message of the API server.
		message string
	}{
		{"min above max", sharding("minReplicasPerShard", 3, "maxReplicasPerShard", 2), "lower the minimum, or raise the maximum"},
		{"too few shards", sharding("shardCount", 1), "for a single shard, set spec.sharding.enabled to false"},
		{"too many shards", sharding("shardCount", 11), "must be from 2 to 10"},
		{"no replica", sharding("minReplicasPerShard", 0), "greater than or equal to 1"},
		{"negative maximum", sharding("maxReplicasPerShard", -1), "greater than or equal to 0"},
		{"a scrape interval of nothing", map[string]any{"monitoring": map[string]any{"interval": "0s"}}, "spec.monitoring.interval must be from 1s to 10m"},
		{"a scrape interval too long", map[string]any{"monitoring": map[string]any{"interval": "1h"}}, "spec.monitoring.interval must be from 1s to 10m"},
		{"a scrape interval without a unit", map[string]any{"monitoring": map[string]any{"interval": "30"}}, "write 30s instead of 30"},
		{"a scrape interval that is no duration", map[string]any{"monitoring": map[string]any{"interval": "half a minute"}}, "must be a number with a unit, such as 30s or 1m"},
		{"a scrape timeout without a unit", map[string]any{"monitoring": map[string]any{"scrapeTimeout": "10"}}, "write 10s instead of 10"},
		{"a scrape timeout above the interval", map[string]any{"monitoring": map[string]any{"interval": "10s", "scrapeTimeout": "11s"}}, "spec.monitoring.scrapeTimeout must not be above spec.monitoring.interval"},
		{"a limit that refuses every scrape", map[string]any{"monitoring": map[string]any{"bodySizeLimit": "16"}}, "spec.monitoring.bodySizeLimit must be at least 1Mi"},
		{"a kind of monitor that does not exist", map[string]any{"monitoring": map[string]any{"type": "PodMonitor"}}, `supported values: "ScrapeConfig", "ServiceMonitor", "None"`},
		{"auto with more shards at least than at most", sharding("enabled", true, "auto", map[string]any{"minShards": int64(8), "maxShards": int64(4)}), "spec.sharding.auto.minShards must not be above spec.sharding.auto.maxShards"},
		{"auto with more than 64 shards", sharding("enabled", true, "auto", map[string]any{"maxShards": int64(65)}), "less than or equal to 64"},
		{"auto without autoscaling", map[string]any{"sharding": map[string]any{"enabled": true, "auto": map[string]any{}}, "autoscaling": map[string]any{"mode": "None"}}, "spec.sharding.auto must not be set with spec.autoscaling.mode None"},
		{"two memory limits", map[string]any{"autoResources": map[string]any{}, "resources": map[string]any{"limits": map[string]any{"memory": "1Gi"}}}, "spec.resources.limits.memory must not be set with spec.autoResources"},
		{"more memory than the maximum", map[string]any{"autoResources": map[string]any{"maxMemory": "1Gi"}, "resources": map[string]any{"requests": map[string]any{"memory": "2Gi"}}}, "spec.resources.requests.memory must not be above spec.autoResources.maxMemory"},
		{"memory bounds that contradict each other", map[string]any{"autoResources": map[string]any{"minMemory": "2Gi", "maxMemory": "1Gi"}}, "spec.autoResources.minMemory must not be above spec.autoResources.maxMemory"},
		{"a little memory", map[string]any{"autoResources": map[string]any{"minMemory": "1Mi"}}, "spec.autoResources.minMemory must be at least 16Mi"},
		{"no headroom", map[string]any{"autoResources": map[string]any{"headroomPercent": int64(0)}}, "greater than or equal to 10"},
		{"a strategy that does not exist", sharding("replicationStrategy", "random"), `supported values: "round-robin"`},
		{"no nodes per monitor", map[string]any{"nodesPerMonitor": int64(0)}, "greater than or equal to 1"},
		{"a namespace that cannot be", map[string]any{"namespace": "Monitoring"}, "spec.namespace must be the name of a namespace"},
		{"an image with spaces", map[string]any{"monitorImage": "kube state metrics"}, "spec.monitorImage must be an image reference without spaces"},
		{"an empty image", map[string]any{"monitorImage": ""}, "spec.monitorImage must be an image reference"},
		{"a request above its limit", map[string]any{"resources": map[string]any{"requests": map[string]any{"cpu": "2"}, "limits": map[string]any{"cpu": int64(1)}}}, "spec.resources.requests must not be above spec.resources.limits: lower the request, or raise the limit"},
		{"a request of the gate above its limit", map[string]any{"template": map[string]any{"gate": map[string]any{"resources": map[string]any{"requests": map[string]any{"memory": "1Gi"}, "limits": map[string]any{"memory": "512Mi"}}}}}, "spec.template.gate.resources.requests must not be above its limits"},
		{"a singular resource", map[string]any{"metrics": map[string]any{"resources": []any{"nodes", "pod"}}}, "write pods instead of pod"},
		{"a singular resource that ends like a plural", map[string]any{"metrics": map[string]any{"resources": []any{"ingress"}}}, "ingresses instead of ingress"},
		{"claims", map[string]any{"resources": map[string]any{"claims": []any{map[string]any{"name": "gpu"}}}}, "spec.resources.claims must not be set"},
		{"a field that does not exist", map[string]any{"node": map[string]any{}}, `unknown field "spec.node"`},
		{"a label that cannot be", nodeSelector("matchLabels", map[string]any{"a b": "c"}), "must be the key of a label"},
		{"a value of a label that cannot be", nodeSelector("matchLabels", map[string]any{"a": "b c"}), "must be the value of a label"},
		{"a label in an expression that cannot be", nodeExpression("a b", "Exists"), "must be the key of a label"},
		{"a value in an expression that cannot be", nodeExpression("a", "In", "b c"), "must be the value of a label"},
		{"an operator that does not exist", nodeExpression("a", "Is", "b"), `supported values: "In", "NotIn", "Exists", "DoesNotExist"`},
		{"an operator without values", nodeExpression("a", "In"), "values must be set with the operators In and NotIn"},
		{"an operator with values", nodeExpression("a", "Exists", "b"), "values must be set with the operators In and NotIn"},
		{"a taint that cannot be", ignoredTaint("key", "a b"), "must be the key of a taint"},
		{"a value of a taint that cannot be", ignoredTaint("key", "a", "value", "b c"), "must be the value of a label"},
		{"an effect that does not exist", ignoredTaint("key", "a", "effect", "NoEntry"), `supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"`},
		{"a taint without a key", ignoredTaint("value", "a"), "spec.nodes.ignoredTaints[0].key: Required value"},
		{"--shard", extraArgs("--shard=1"), "set spec.sharding.enabled and spec.sharding.shardCount instead"},
		{"--total-shards", extraArgs("--total-shards=1"), "set spec.sharding.enabled and spec.sharding.shardCount instead"},
		{"--pod", extraArgs("--pod=a"), "enable the sharding of kube-state-metrics itself"},
		{"--pod-namespace", extraArgs("--pod-namespace=a"), "enable the sharding of kube-state-metrics itself"},
		{"--node", extraArgs("--node=a"), "enable the sharding of kube-state-metrics itself"},
		{"--config", extraArgs("--v=4", "--config=/etc/config"), "write its options as flags instead"},
		{"--port", extraArgs("--port=80"), "use ports 8080 and 8081"},
		{"--host", extraArgs("--host=::1"), "use ports 8080 and 8081"},
		{"--telemetry-port", extraArgs("--telemetry-port=80"), "use ports 8080 and 8081"},
		{"--telemetry-host", extraArgs("--telemetry-host=::1"), "use ports 8080 and 8081"},
		{"--tls-config", extraArgs("--tls-config=/etc/tls"), "set spec.metrics.tls instead"},
		{"--auth-filter", extraArgs("--auth-filter"), "set spec.metrics.authFilter instead"},
		{"--object-limit", extraArgs("--object-limit=5"), "set spec.metrics.objectLimit instead"},
		{"--custom-resource-state-only", extraArgs("--custom-resource-state-only"), "set spec.metrics.customResourceState.only instead"},
		{"--kubeconfig", extraArgs("--kubeconfig=/etc/kubeconfig"), "uses the service account of its pod"},
		{"--apiserver", extraArgs("--apiserver=https://other"), "uses the service account of its pod"},
		{"--help", extraArgs("--help"), "ends at once"},
		{"a flag apart from its value", extraArgs("--resources", "pods"), "join a flag and its value with '='"},
		{"a short flag", extraArgs("-h"), "join a flag and its value with '='"},
		{"a long stabilization", behavior(map[string]any{"stabilizationWindowSeconds": int64(3601)}), "less than or equal to 3600"},
		{"a policy of another type", behavior(map[string]any{"policies": []any{map[string]any{"type": "Nodes", "value": int64(1), "periodSeconds": int64(1)}}}), `supported values: "Pods", "Percent"`},
		{"a policy that does nothing", behavior(map[string]any{"policies": []any{map[string]any{"type": "Pods", "value": int64(0), "periodSeconds": int64(1)}}}), "greater than or equal to 1"},
		{"a policy for an hour", behavior(map[string]any{"policies": []any{map[string]any{"type": "Pods", "value": int64(1), "periodSeconds": int64(3600)}}}), "less than or equal to 1800"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := createUnstructured(t, "refused", test.spec)
			require.Error(t, err)
			assert.Contains(t, err.Error(), test.message)
		})
	}
}

func TestBadNamesAreRefused(t *testing.T) {
	for _, name := range []string{strings.Repeat("a", 46), "a.b"} {
		err := createUnstructured(t, name, nil)
		require.Error(t, err, name)
		assert.Contains(t, err.Error(), "metadata.name must be a DNS label of at most 45 characters")
	}
}

// The names of shards with two-digit numbers are longer.
func TestNamesWithManyShards(t *testing.T) {
	many := sharding("auto", map[string]any{"maxShards": int64(64)})
	err := createUnstructured(t, strings.Repeat("a", 45), many)
	require.ErrorContains(t, err, "metadata.name must have at most 44 characters with spec.sharding.auto.maxShards above 10")
	require.NoError(t, createUnstructured(t, strings.Repeat("a", 44), many))
}

func TestGoodSpecsAreAccepted(t *testing.T) {
	for _, test := range []struct {
		name string
		spec map[string]any
	}{
		{strings.Repeat("a", 45), nil},
		{"shards", sharding("shardCount", 10, "minReplicasPerShard", 2, "maxReplicasPerShard", 2)},
		{"flags", extraArgs("--resources=pods,secrets", "--metric-labels-allowlist=pods=[*]", "--v=4", "--shared-thing=1")},
		{"behavior", behavior(map[string]any{"stabilizationWindowSeconds": int64(0), "tolerance": "0.05", "selectPolicy": "Min",
			"policies": []any{map[string]any{"type": "Percent", "value": int64(100), "periodSeconds": int64(15)}}})},
		{"labels", nodeSelector("matchLabels", map[string]any{"node-role.kubernetes.io/worker": "", "pool": "big"})},
		{"all-labels", nodeSelector()},
		{"expression", nodeExpression("kubernetes.io/os", "In", "linux", "")},
		{"expression-without-values", nodeExpression("node.kubernetes.io/exclude", "DoesNotExist")},
		{"taint", ignoredTaint("key", "node-role.kubernetes.io/control-plane", "effect", "NoSchedule", "value", "")},
		{"auto", fields("sharding", sharding("auto", map[string]any{"targetScrapeBytes": int64(16 << 20)})["sharding"], "autoResources",
			map[string]any{"minMemory": "64Mi", "maxMemory": "4Gi", "limits": true}, "template", map[string]any{"goMemoryLimitPercent": int64(90)})},
		{"resources", map[string]any{"resources": map[string]any{"limits": map[string]any{"cpu": "100m", "memory": "1Gi"}}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			require.NoError(t, createUnstructured(t, test.name, test.spec))
		})
	}
}

func TestSamplesAreAccepted(t *testing.T) {
	for _, sample := range samples(t) {
		_, err := shared.installed.Kubectl(t.Context(), "create", "--dry-run=server", "--validate=strict", "-f", sample)
		assert.NoError(t, err)
	}
}

func TestDefaults(t *testing.T) {
	object := unstructuredKSMScale("defaults", map[string]any{"sharding": map[string]any{}})
	require.NoError(t, shared.client.Create(t.Context(), object, client.DryRunAll))
	assert.Equal(t, map[string]any{
		"nodesPerMonitor": int64(15),
		"monitorImage":    "registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.20.0",
		"namespace":       "monitoring",
		"autoscaling":     map[string]any{"mode": "HorizontalPodAutoscaler"},
		"monitoring":      map[string]any{"interval": "30s"},
		"nodes": map[string]any{"selector": map[string]any{"matchExpressions": []any{
			map[string]any{"key": "type", "operator": "NotIn", "values": []any{"virtual-kubelet"}},
		}}},
		"sharding": map[string]any{
			"enabled": false, "shardCount": int64(3), "replicationStrategy": "round-robin",
			"minReplicasPerShard": int64(1), "maxReplicasPerShard": int64(0),
		},
	}, object.Object["spec"])

	object = unstructuredKSMScale("defaults", nodeSelector("matchLabels", map[string]any{"pool": "big"}))
	require.NoError(t, shared.client.Create(t.Context(), object, client.DryRunAll))
	spec, _ := object.Object["spec"].(map[string]any)
	assert.Equal(t, nodeSelector("matchLabels", map[string]any{"pool": "big"})["nodes"], spec["nodes"], "a selector replaces the default")
}

func TestTheNamespaceCannotBeChanged(t *testing.T) {
	ksmScale := create(t, newKSMScale())
	changed := ksmScale.DeepCopy()
	changed.Spec.Namespace = "default"
	err := shared.client.Patch(t.Context(), changed, client.MergeFrom(ksmScale))
	require.ErrorContains(t, err, "spec.namespace cannot be changed")
	changed = ksmScale.DeepCopy()
	changed.Spec.Sharding.MaxReplicasPerShard = 4
	changed.Spec.NodesPerMonitor = 20
	changed.Spec.Template = &v1alpha1.PodTemplate{Tolerations: []v1alpha1.Toleration{{Key: "a", Operator: corev1.TolerationOpExists, TolerationSeconds: new(int64(1)), Effect: corev1.TaintEffectNoExecute}}}
	require.NoError(t, shared.client.Patch(t.Context(), changed, client.MergeFrom(ksmScale)), "anything else can be changed")
}

func sharding(fieldsAndValues ...any) map[string]any {
	values := map[string]any{"enabled": true}
	for i := 0; i < len(fieldsAndValues); i += 2 {
		name, _ := fieldsAndValues[i].(string)
		if number, ok := fieldsAndValues[i+1].(int); ok {
			values[name] = int64(number)
			continue
		}
		values[name] = fieldsAndValues[i+1]
	}
	return map[string]any{"sharding": values}
}

// fields are names and values by turns.
func fields(namesAndValues ...any) map[string]any {
	values := map[string]any{}
	for i := 0; i < len(namesAndValues); i += 2 {
		name, _ := namesAndValues[i].(string)
		values[name] = namesAndValues[i+1]
	}
	return values
}

func nodeSelector(namesAndValues ...any) map[string]any {
	return fields("nodes", fields("selector", fields(namesAndValues...)))
}

func nodeExpression(key, operator string, values ...any) map[string]any {
	expression := fields("key", key, "operator", operator)
	if len(values) > 0 {
		expression["values"] = values
	}
	return nodeSelector("matchExpressions", []any{expression})
}

func ignoredTaint(namesAndValues ...any) map[string]any {
	return fields("nodes", fields("ignoredTaints", []any{fields(namesAndValues...)}))
}

func extraArgs(args ...any) map[string]any {
	return map[string]any{"template": map[string]any{"extraArgs": args}}
}

func behavior(rules map[string]any) map[string]any {
	return map[string]any{"autoscaling": map[string]any{"behavior": map[string]any{"scaleUp": rules}}}
}

func unstructuredKSMScale(name string, spec map[string]any) *unstructured.Unstructured {
	if spec == nil {
		spec = map[string]any{}
	}
	object := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("KSMScale"))
	object.SetName(name)
	return object
}

// createUnstructured has the API server check a KSMScale as kubectl does, which refuses unknown fields.
func createUnstructured(t *testing.T, name string, spec map[string]any) error {
	t.Helper()
	strict := client.WithFieldValidation(shared.client, "Strict")
	return strict.Create(t.Context(), unstructuredKSMScale(name, spec), client.DryRunAll)
}
