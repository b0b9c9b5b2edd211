package plugin

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
)

// The seed's table, for its samples.
func TestPlanOfTheSeed(t *testing.T) {
	for sample, expected := range map[string]string{
		"small-sharded":  "KSMScale small-sharded: 3 shards, a pod for every 15 nodes, at least 1 replica of each shard\n\n" + seedTable,
		"medium-sharded": "KSMScale medium-sharded: 3 shards, a pod for every 15 nodes, at least 1 replica of each shard\n\n" + seedTable,
	} {
		code, stdout, stderr := world{}.run(t, "plan", "-f", filepath.Join("..", "config", "samples", "seed", sample+".yaml"), "--nodes", "10,45,60,75,90")
		assert.Zero(t, code)
		assert.Empty(t, stderr)
		assert.Equal(t, expected, stdout)
	}
}

const seedTable = `NODES   CALCULATED PODS   ACTUAL PODS   SHARDS
10      1                 3 (minimum)   1/1/1
45      3                 3             1/1/1
60      4                 4             2/1/1
75      5                 5             2/2/1
90      6                 6             2/2/2
`

func TestPlanOfTheLargeSeed(t *testing.T) {
	_, stdout, _ := world{}.run(t, "plan", "-f", "../config/samples/seed/large-sharded.yaml", "--nodes", "300,600", "-o", "json")
	var table planTable
	require.NoError(t, json.Unmarshal([]byte(stdout), &table))
	assert.Equal(t, []planRow{
		{Nodes: 300, Calculated: 20, Desired: 20, Shards: []int32{4, 4, 4, 4, 4}},
		{Nodes: 600, Calculated: 40, Desired: 25, Bound: "AtMaximum", Shards: []int32{5, 5, 5, 5, 5}},
	}, table.Rows)
}

const header = "apiVersion: monitor.example.com/v1alpha1\nkind: KSMScale\nmetadata: {name: main}\n"

const (
	noChange = `KSMScale main: 3 shards, 45 nodes, 3 pods: 1/1/1 by shard
No pod changes.

Recommended: 3 shards (measured: 600000 series in 3 shards)
`
	rolloutOfAll = `KSMScale main: 3 shards, 45 nodes, 3 pods: 1/1/1 by shard

Rollout: shards 0, 1, 2, one after the other
  pods   3 now, 3 started, at most 4 at a time, 3 afterwards
  time   about 1m48s

Recommended: 3 shards (measured: 600000 series in 3 shards)
`
)

func TestPlanOfChanges(t *testing.T) {
	cluster := append(append(threeShards(), ready()), nodesOf(45)...)
	grown := append(append(threeShards(), ready()), nodesOf(61)...)
	zones := append(append(threeShards(), ready()), zoned(nodesOf(45))...)
	zoneAware := ready(func(k *v1alpha1.KSMScale) { k.Spec.Sharding.ReplicationStrategy = v1alpha1.ZoneAware })
	acrossZones := append(append(threeShards(), zoneAware), zoned(nodesOf(45))...)
	withoutZones := append(append(threeShards(), zoneAware), nodesOf(45)...)
	file := func(strategy v1alpha1.ReplicationStrategy) string {
		return fmt.Sprintf("%sspec: {nodesPerMonitor: 15, monitorImage: %s, sharding: {enabled: true, shardCount: 3, replicationStrategy: %s}}", header, fixtures.Image, strategy)
	}
	for name, test := range map[string]struct {
		world
		args     []string
		code     int
		expected string
	}{
		"nothing": {world: world{objects: cluster}, args: []string{"main"}, expected: noChange},
		"scaling": {world: world{objects: grown}, args: []string{"main"}, code: exitNotYet, expected: `KSMScale main: 3 shards, 61 nodes, 5 pods: 2/2/1 by shard

Scaling: shard 0 from 1 to 2, shard 1 from 1 to 2
  pods   3 now, 2 started, at most 5 at a time, 5 afterwards
  time   about 21s

Recommended: 3 shards (measured: 600000 series in 3 shards)
`},
		"a reshard": {world: world{objects: cluster}, args: []string{"main", "--shard-count", "5"}, code: exitNotYet, expected: `KSMScale main: 5 shards, 45 nodes, 5 pods (minimum): 1/1/1/1/1 by shard

Reshard: 3 shards become 5
  pods     3 now, 5 started, at most 8 at a time, 5 afterwards
  time     about 2m0s
  series   600000 exported twice meanwhile, which Prometheus stores once; 120000 per shard afterwards
  memory   about 174 MiB for each pod

Recommended: 3 shards (measured: 600000 series in 3 shards)
`},
		"a rollout, of a file": {
			world: world{objects: cluster, stdin: header + "spec: {nodesPerMonitor: 15, monitorImage: example.com/kube-state-metrics:v2.18.0, sharding: {enabled: true, shardCount: 3}}"},
			args:  []string{"-f", "-"}, code: exitNotYet, expected: rolloutOfAll},
		"to zone-aware":                     {world: world{objects: zones, stdin: file(v1alpha1.ZoneAware)}, args: []string{"-f", "-"}, code: exitNotYet, expected: rolloutOfAll},
		"from zone-aware":                   {world: world{objects: acrossZones, stdin: file(v1alpha1.RoundRobin)}, args: []string{"-f", "-"}, code: exitNotYet, expected: rolloutOfAll},
		"still zone-aware":                  {world: world{objects: acrossZones, stdin: file(v1alpha1.ZoneAware)}, args: []string{"-f", "-"}, expected: noChange},
		"to zone-aware, without any zone":   {world: world{objects: cluster, stdin: file(v1alpha1.ZoneAware)}, args: []string{"-f", "-"}, expected: noChange},
		"from zone-aware, without any zone": {world: world{objects: withoutZones, stdin: file(v1alpha1.RoundRobin)}, args: []string{"-f", "-"}, expected: noChange},
		"to least-loaded":                   {world: world{objects: zones, stdin: file(v1alpha1.LeastLoaded)}, args: []string{"-f", "-"}, expected: noChange},
		"a version that was not measured": {world: world{objects: append(append(threeShards(), ready(func(k *v1alpha1.KSMScale) {
			k.Spec.MonitorImage = "example.com/kube-state-metrics:v2.10.1"
		})), nodesOf(45)...)}, args: []string{"main", "--shard-count", "1"}, code: exitNotYet, expected: `KSMScale main: 1 shard, 45 nodes, 3 pods

Reshard: 3 shards become 1
  pods     3 now, 3 started, at most 6 at a time, 3 afterwards
  time     not known for kube-state-metrics v2.10.1
  series   600000 exported twice meanwhile, which Prometheus stores once; 600000 per shard afterwards

Recommended: 3 shards (measured: 600000 series in 3 shards)
`},
		"a new one": {world: world{objects: nodesOf(45), stdin: header + "spec: {sharding: {enabled: true}}"}, args: []string{"-f", "-"}, code: exitNotYet,
			expected: `KSMScale main: 3 shards, 45 nodes, 3 pods: 1/1/1 by shard

Create: 3 shards
  pods   0 now, 3 started, at most 3 at a time, 3 afterwards
  time   not known until the gates have measured the shards
`},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := test.run(t, append([]string{"plan"}, test.args...)...)
			assert.Empty(t, stderr)
			assert.Equal(t, test.code, code)
			assert.Equal(t, test.expected, stdout)
		})
	}
}

// So does a reshard, and the pods of now are those of both partitions.
func TestPlanOfAReshardUnderWay(t *testing.T) {
	objects := append(append(threeShards(), ready(func(k *v1alpha1.KSMScale) { k.Spec.Sharding.ShardCount = 5 })), nodesOf(45)...)
	for _, object := range shardObjects(0) {
		labels := object.GetLabels()
		labels[v1alpha1.LabelTotalShards] = "5"
		object.SetLabels(labels)
		object.SetName("ksm-main-shard-0-of-5" + strings.TrimPrefix(object.GetName(), "ksm-main-shard-0-of-3"))
		if pod, isPod := object.(*corev1.Pod); isPod {
			fixtures.OwnedByDeployment(pod, v1alpha1.Shard{KSMScale: "main", Total: 5})
		}
		objects = append(objects, object)
	}
	code, stdout, _ := world{objects: objects}.run(t, "plan", "main")
	assert.Equal(t, exitNotYet, code)
	assert.Contains(t, stdout, "Reshard: 3 shards become 5\n  pods     4 now, 4 started, at most 8 at a time, 5 afterwards\n"+
		"  time     under way: `kubectl ksmscale status main` prints what it waits for\n")
}

// The recommended memory is beside the requested one, because an alert compares them.
func TestPlanOfMemory(t *testing.T) {
	live := ready(func(k *v1alpha1.KSMScale) {
		k.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("512Mi")}
		k.Status.Recommendation.MemoryRequest = new(resource.MustParse("96Mi"))
	})
	_, stdout, _ := world{objects: append(append(threeShards(), live), nodesOf(45)...)}.run(t, "plan", "main")
	assert.Contains(t, stdout, "\nRecommended: 3 shards (measured: 600000 series in 3 shards)\nMemory: each kube-state-metrics requests 512 MiB; 96 MiB are recommended\n")
}

// A rollout that is under way counts only the pods that are left.
func TestPlanOfARolloutUnderWay(t *testing.T) {
	objects := append(append(threeShards(), ready()), nodesOf(45)...)
	objects[0].(*appsv1.Deployment).Status.UpdatedReplicas = 0
	code, stdout, _ := world{objects: objects}.run(t, "plan", "main")
	assert.Equal(t, exitNotYet, code)
	assert.Contains(t, stdout, "Rollout: shard 0\n  pods   3 now, 1 started, at most 4 at a time, 3 afterwards\n")

	successor := fixtures.Pod(0, "successor")
	successor.UID = "successor"
	fixtures.OwnedByDeployment(&successor, fixtures.Shard(0))
	_, stdout, _ = world{objects: append(objects, &successor)}.run(t, "plan", "main")
	assert.Contains(t, stdout, "  pods   4 now, 1 started, at most 4 at a time, 3 afterwards\n", "a pod leaves for each one that comes")
}

// Without the right to list nodes, the plan is for the nodes in the status.
func TestPlanWithoutNodes(t *testing.T) {
	refused := func(list client.ObjectList) error {
		if _, isNodes := list.(*corev1.NodeList); isNodes {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "nodes"}, "", nil)
		}
		return nil
	}
	code, stdout, _ := world{objects: append(threeShards(), ready()), refused: refused}.run(t, "plan", "main")
	assert.Zero(t, code)
	assert.Contains(t, stdout, "45 nodes")
}

func TestPlanRefuses(t *testing.T) {
	auto := ready(func(k *v1alpha1.KSMScale) { k.Spec.Sharding.Auto = &v1alpha1.AutoSharding{MinShards: 2, MaxShards: 10} })
	for name, test := range map[string]struct {
		world
		args     []string
		expected string
	}{
		"another namespace": {world{objects: []client.Object{ready()}, stdin: header + "spec: {namespace: other}"}, []string{"-f", "-"}, "spec.namespace must stay monitoring"},
		"auto sharding":     {world{objects: []client.Object{auto}}, []string{"main", "--shard-count", "5"}, "spec.sharding.auto sets the number of shards"},
		"too many shards":   {world{objects: []client.Object{ready()}}, []string{"main", "--shard-count", "11"}, "spec.sharding.shardCount must be from 2 to 10"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, stderr := test.run(t, append([]string{"plan"}, test.args...)...)
			assert.Equal(t, exitError, code)
			assert.Contains(t, stderr, test.expected)
		})
	}
}
