package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
	"github.com/example/ksmscale/gate"
	"github.com/example/ksmscale/gate/sharding"
	"github.com/example/ksmscale/plugin/verify"
)

const listedConfigMaps = 30

// listed are ConfigMaps in the namespace shop and a node, and a ConfigMap that no shard exports. Their UIDs are their names.
func listed() []runtime.Object {
	object := func(kind, namespace, name string) runtime.Object {
		return &metav1.PartialObjectMetadata{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: kind},
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(name)},
		}
	}
	all := []runtime.Object{object("Node", "", "worker")}
	for i := range listedConfigMaps {
		all = append(all, object("ConfigMap", "shop", "object-"+strconv.Itoa(i)))
	}
	return all
}

// exposedBy are the objects of a shard of three, with changes.
func exposedBy(shard int32, changes ...func(gate.Exposed)) gate.Exposed {
	exposed := gate.Exposed{"configmaps": sets.New[types.NamespacedName](), "nodes": sets.New[types.NamespacedName]()}
	for i := range listedConfigMaps {
		if name := "object-" + strconv.Itoa(i); sharding.ShardOf(types.UID(name), 3) == shard {
			exposed["configmaps"].Insert(types.NamespacedName{Namespace: "shop", Name: name})
		}
	}
	if sharding.ShardOf("worker", 3) == shard {
		exposed["nodes"].Insert(types.NamespacedName{Name: "worker"})
	}
	for _, change := range changes {
		change(exposed)
	}
	return exposed
}

func podOf(shard int32) string { return fmt.Sprintf("ksm-main-shard-%d-of-3-a", shard) }

func exact() map[string]gate.Exposed {
	return map[string]gate.Exposed{podOf(0): exposedBy(0), podOf(1): exposedBy(1), podOf(2): exposedBy(2)}
}

// except is exact, with another exposition of the pod of shard 0.
func except(exposed gate.Exposed) map[string]gate.Exposed {
	all := exact()
	all[podOf(0)] = exposed
	return all
}

func verifyWorld(looks ...map[string]gate.Exposed) world {
	return world{objects: append(threeShards(), ready()), listed: listed(), exposed: looks}
}

func TestVerify(t *testing.T) {
	code, stdout, stderr := verifyWorld(exact()).run(t, "verify", "main")
	assert.Zero(t, code)
	assert.Empty(t, stderr)
	assert.Equal(t, `KSMScale main: complete

Partition of 3 shards: 31 objects of 2 resources, each is exported once
SHARD   POD                       OBJECTS   MISSING   WRONG SHARD   DELETED
0       ksm-main-shard-0-of-3-a   10        0         0             0
1       ksm-main-shard-1-of-3-a   12        0         0             0
2       ksm-main-shard-2-of-3-a   9         0         0             0
`, stdout)
}

func count(shard int32) int {
	exposed := exposedBy(shard)
	return exposed["configmaps"].Len() + exposed["nodes"].Len()
}

// A shard whose kube-state-metrics runs with the number of another shard: its objects are missing, and those of the other one come twice.
func TestVerifyOfAWrongShard(t *testing.T) {
	code, stdout, _ := verifyWorld(except(exposedBy(1))).run(t, "verify", "main", "-o", "json")
	assert.Equal(t, exitNotYet, code)
	var result verify.Result
	require.NoError(t, json.Unmarshal([]byte(stdout), &result))
	kinds := map[verify.Kind]int{}
	for _, one := range result.Partitions[0].Differences {
		kinds[one.Kind]++
		assert.Equal(t, sharding.ShardOf(types.UID(one.Name), 3), one.Shard)
		assert.Equal(t, podOf(0), one.Pod)
	}
	assert.Equal(t, map[verify.Kind]int{verify.Missing: count(0), verify.WrongShard: count(1)}, kinds)
	assert.False(t, result.Complete)
	_, stdout, _ = verifyWorld(except(exposedBy(1))).run(t, "verify", "main")
	one := exposedBy(0)["configmaps"].UnsortedList()[0].Name
	assert.Contains(t, stdout, "KSMScale main: not complete")
	assert.Contains(t, stdout, "  configmaps/"+one+" in namespace shop: of shard 0, and pod "+podOf(0)+" does not export it\n")
	assert.Contains(t, stdout, " of shard 1, and pod "+podOf(0)+" of shard 0 exports it too\n")
}

func TestVerifyFinds(t *testing.T) {
	gone := func(exposed gate.Exposed) { exposed["nodes"].Insert(types.NamespacedName{Name: "former"}) }
	for name, test := range map[string]struct {
		world
		code     int
		expected string
	}{
		"a deleted object":                      {verifyWorld(except(exposedBy(0, gone))), exitNotYet, "nodes/former: no longer exists, and pod " + podOf(0) + " still exports it"},
		"a difference of two looks, not three":  {verifyWorld(except(exposedBy(1)), except(exposedBy(1)), exact()), exitAsDesired, "KSMScale main: complete"},
		"another difference in each look":       {verifyWorld(except(exposedBy(0, gone)), except(exposedBy(1)), except(exposedBy(0, gone))), exitAsDesired, "KSMScale main: complete"},
		"a resource that a version cannot name": {verifyWorld(except(gate.Exposed{"configmaps": exposedBy(0)["configmaps"]})), exitAsDesired, "each is exported once"},
		"a resource that it may not list": {func() world {
			w := verifyWorld(exact())
			w.refuses = []string{"list nodes"}
			return w
		}(), exitAsDesired, "Not compared:\n  nodes: service account ksm-main may not list it"},
		"a pod of others with the labels of a shard": {func() world {
			stranger := fixtures.Pod(1, "stranger")
			stranger.Namespace, stranger.OwnerReferences = "monitoring", nil
			w := verifyWorld(exact())
			w.objects = append(w.objects, &stranger)
			return w
		}(), exitNotYet, "Pods of others with the labels of a shard, which Prometheus scrapes too:\n  ksm-main-shard-1-of-3-stranger: delete it, or remove its label ksmscale.example.com\n"},
		"an unready shard": {world{objects: append(append(append(shardObjects(0, fixtures.NotReady), shardObjects(1)...), shardObjects(2)...), ready()), listed: listed(), exposed: []map[string]gate.Exposed{exact()}},
			exitNotYet, "Missing:\n  10 objects of shard 0, which has no ready pod\n"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := test.run(t, "verify", "main")
			assert.Equal(t, test.code, code, stdout+stderr)
			assert.Contains(t, stdout, test.expected)
		})
	}
}

func TestVerifyNames(t *testing.T) {
	lacking := verifyWorld(exact())
	lacking.lacks = []string{"list nodes", "create pods/portforward in namespace monitoring"}
	filtered := verifyWorld(exact())
	filtered.objects[len(filtered.objects)-1] = ready(func(k *v1alpha1.KSMScale) { k.Spec.Metrics.AuthFilter = true })
	filtered.lacks = []string{"create serviceaccounts/token ksm-main in namespace monitoring"}
	unanswered := verifyWorld(exact())
	delete(unanswered.exposed[0], podOf(1))
	silent := verifyWorld(map[string]gate.Exposed{})
	withTLS := verifyWorld(exact())
	withTLS.objects[len(withTLS.objects)-1] = ready(func(k *v1alpha1.KSMScale) { k.Spec.Metrics.TLS.SecretName = "tls" })
	for name, test := range map[string]struct {
		world
		expected string
	}{
		"the rights that lack":       {lacking, "you lack these rights: create pods/portforward in namespace monitoring (to reach the pods of the shards), list nodes (to compare them)"},
		"the right to get a token":   {filtered, "you lack these rights: create serviceaccounts/token ksm-main in namespace monitoring (because of spec.metrics.authFilter)"},
		"a pod that does not answer": {unanswered, "read the metrics of " + podOf(1) + ", as `kubectl port-forward` would: connection refused\n"},
		"no pod that answers":        {silent, "read the metrics of " + podOf(0) + ", " + podOf(1) + ", " + podOf(2) + ", as `kubectl port-forward` would: connection refused\n"},
		"no CA":                      {withTLS, "no spec.monitoring.tlsConfig with the CA of kube-state-metrics' certificate: set --monitor-ca-file"},
		"a KSMScale without shards":  {world{objects: []client.Object{ready()}}, "KSMScale main has no shards yet: `kubectl ksmscale status main` shows why"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := test.run(t, "verify", "main")
			assert.Equal(t, exitError, code)
			assert.Empty(t, stdout)
			assert.Contains(t, stderr, test.expected)
		})
	}
}

// Ctrl-C during a request ends the command like Ctrl-C between two looks.
func TestVerifyIsInterrupted(t *testing.T) {
	for name, test := range map[string]struct {
		look, code int
		stderr     string
	}{
		"the first look":  {1, exitError, "error: context canceled\n"},
		"the second look": {2, exitAsDesired, ""},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			looks := 0
			w := verifyWorld(exact(), exact())
			w.refused = func(list client.ObjectList) error {
				if _, areDeployments := list.(*appsv1.DeploymentList); areDeployments {
					looks++
				}
				if looks == test.look {
					cancel()
				}
				return ctx.Err()
			}
			code, _, stderr := w.runUntil(ctx, t, "verify", "main", "--watch")
			assert.Equal(t, test.code, code)
			assert.Equal(t, test.stderr, strings.TrimPrefix(stderr, "00:00:00\n"))
		})
	}
}
