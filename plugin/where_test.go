package plugin

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/example/ksmscale/controller/fixtures"
	"github.com/example/ksmscale/gate/sharding"
	"github.com/example/ksmscale/plugin/cluster"
)

func TestWhere(t *testing.T) {
	core := func(resource, namespace, name string) cluster.Target {
		return cluster.Target{Resource: schema.GroupVersionResource{Version: "v1", Resource: resource}, Namespace: namespace, Name: name, UID: types.UID(name)}
	}
	shard := sharding.ShardOf("object-1", 3)
	shards := append(threeShards(), ready())
	for name, test := range map[string]struct {
		world
		code     int
		expected string
	}{
		"an exported object": {world{objects: shards, found: core("configmaps", "shop", "object-1")}, exitAsDesired, fmt.Sprintf(`configmaps/object-1 in namespace shop, UID object-1

KSMSCALE   SHARD    READY PODS                EXPORTED
main       %[1]d of 3   ksm-main-shard-%[1]d-of-3-a   yes
`, shard)},
		"another resource":  {world{objects: shards, found: core("pods", "shop", "web")}, exitNotYet, "no: it exports no pods: add pods to spec.metrics.resources\n"},
		"another namespace": {world{objects: shards, found: core("configmaps", "kube-system", "a")}, exitNotYet, "no: it leaves namespace kube-system out"},
		"a custom resource": {world{objects: shards, found: cluster.Target{Resource: schema.GroupVersionResource{Group: "a.com", Version: "v1", Resource: "configmaps"}}}, exitNotYet, "no: kube-state-metrics has no metrics of its own for this kind"},
		"no ready pod":      {world{objects: append(threeShards(fixtures.NotReady), ready()), found: core("nodes", "", "a")}, exitNotYet, "none         no: the shard has no ready pod: `kubectl ksmscale status main`"},
		"no KSMScale":       {world{found: core("nodes", "", "a")}, exitNotYet, "No KSMScale has a shard.\n"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := test.run(t, "where", "any/name")
			assert.Empty(t, stderr)
			assert.Equal(t, test.code, code)
			assert.Contains(t, stdout, test.expected)
		})
	}
}
