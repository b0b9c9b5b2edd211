package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
)

func TestStatus(t *testing.T) {
	allReady := append(threeShards(), ready())
	withoutShard2 := append(append(shardObjects(0), shardObjects(1)...), ready(notReady(v1alpha1.ReasonScaling, "2 of 3 desired pods exist")))
	waiting := append(append(shardObjects(0, fixtures.NotReady), shardObjects(1, fixtures.Waiting("ImagePullBackOff"))...), shardObjects(2, fixtures.Unschedulable)...)
	waiting = append(waiting, ready(notReady(v1alpha1.ReasonShardsNotReady, "Shards 0, 1 and 2 have no ready pod"), func(k *v1alpha1.KSMScale) {
		k.Status.Phase = v1alpha1.PhaseIncomplete
		k.Status.Conditions = append(k.Status.Conditions, condition(v1alpha1.ConditionSchedulable, metav1.ConditionFalse, v1alpha1.ReasonUnschedulable, "no node for a pod"))
	}))
	waiting[1].(*autoscalingv2.HorizontalPodAutoscaler).Status.Conditions[0] = autoscalingv2.HorizontalPodAutoscalerCondition{
		Type: autoscalingv2.ScalingActive, Status: corev1.ConditionFalse, Reason: "FailedGetExternalMetric", Message: "no metric"}
	for name, test := range map[string]struct {
		world
		args     []string
		code     int
		expected string
	}{
		"all is ready": {world: world{objects: allReady}, args: []string{"main"}, expected: `KSMScale main: Ready, AsPlanned
├─ 3 replicas run, as calculated for 45 nodes
├─ phase Ready, 45 nodes, 3/3 pods ready, 3 desired
└─ partition of 3 shards
   ├─ shard 0: 1/1 ready, 1 desired, HPA 1 -> 1
   │  └─ pod ksm-main-shard-0-of-3-a: ready, node node-1
   ├─ shard 1: 1/1 ready, 1 desired, HPA 1 -> 1
   │  └─ pod ksm-main-shard-1-of-3-a: ready, node node-1
   └─ shard 2: 1/1 ready, 1 desired, HPA 1 -> 1
      └─ pod ksm-main-shard-2-of-3-a: ready, node node-1
`},
		"a shard does not exist yet": {world: world{objects: withoutShard2}, code: exitNotYet, expected: `KSMScale main: not Ready, Scaling
├─ 2 of 3 desired pods exist
├─ phase Ready, 45 nodes, 2/2 pods ready, 3 desired
└─ partition of 3 shards
   ├─ shard 0: 1/1 ready, 1 desired, HPA 1 -> 1
   │  └─ pod ksm-main-shard-0-of-3-a: ready, node node-1
   ├─ shard 1: 1/1 ready, 1 desired, HPA 1 -> 1
   │  └─ pod ksm-main-shard-1-of-3-a: ready, node node-1
   └─ shard 2: not created yet
`},
		"pods wait": {
			world: world{objects: waiting, gates: map[string]string{"ksm-main-shard-0-of-3-a": "kube-state-metrics does not expose 7 objects (pods: 7) of its shard yet"}},
			args:  []string{"main", "--no-color"}, code: exitNotYet, expected: `KSMScale main: not Ready, ShardsNotReady
├─ Shards 0, 1 and 2 have no ready pod
├─ Schedulable False, Unschedulable: no node for a pod
├─ phase Incomplete, 45 nodes, 0/3 pods ready, 3 desired
└─ partition of 3 shards
   ├─ shard 0: 0/1 ready, 1 desired, HPA 1 -> 1
   │  ├─ HPA: FailedGetExternalMetric: no metric
   │  └─ pod ksm-main-shard-0-of-3-a: not ready, node node-1; kube-state-metrics does not expose 7 objects (pods: 7) of its shard yet
   ├─ shard 1: 0/1 ready, 1 desired, HPA 1 -> 1
   │  └─ pod ksm-main-shard-1-of-3-a: not ready, node node-1; container kube-state-metrics, ImagePullBackOff: reported by the kubelet
   └─ shard 2: 0/1 ready, 1 desired, HPA 1 -> 1
      └─ pod ksm-main-shard-2-of-3-a: not ready, node node-1; no node: 0/3 nodes are available
`},
		"a gate cannot be read": {
			world: world{objects: append(append(append(shardObjects(0, fixtures.NotReady), shardObjects(1)...), shardObjects(2)...), ready())}, args: []string{"main"},
			expected: `KSMScale main: Ready, AsPlanned
├─ 3 replicas run, as calculated for 45 nodes
├─ phase Ready, 45 nodes, 2/3 pods ready, 3 desired
└─ partition of 3 shards
   ├─ shard 0: 0/1 ready, 1 desired, HPA 1 -> 1
   │  └─ pod ksm-main-shard-0-of-3-a: not ready, node node-1; its gate is closed, and gives no reason: connection refused
   ├─ shard 1: 1/1 ready, 1 desired, HPA 1 -> 1
   │  └─ pod ksm-main-shard-1-of-3-a: ready, node node-1
   └─ shard 2: 1/1 ready, 1 desired, HPA 1 -> 1
      └─ pod ksm-main-shard-2-of-3-a: ready, node node-1
`},
		"an old status": {
			world: world{objects: []client.Object{ready(func(k *v1alpha1.KSMScale) { k.Generation = 2 })}}, code: exitNotYet,
			expected: `KSMScale main: Ready unknown, NotObserved
├─ The controller has not seen the last change of the spec yet: ` + "`kubectl ksmscale check`" + ` tells whether it runs
├─ phase Ready, 45 nodes, 0/0 pods ready, 3 desired
└─ partition of 3 shards
   ├─ shard 0: not created yet
   ├─ shard 1: not created yet
   └─ shard 2: not created yet
`},
		"there is none":              {expected: "There is no KSMScale. To create one: kubectl apply -f config/samples/medium.yaml\n"},
		"--wait ends when all are":   {world: world{objects: []client.Object{ready()}}, args: []string{"--wait", "-o", "yaml"}, expected: "ready: \"True\""},
		"--wait ends with its limit": {world: world{objects: withoutShard2}, args: []string{"--wait", "--timeout=0s", "-o", "json"}, code: exitNotYet, expected: `"ready": "False"`},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := test.run(t, append([]string{"status"}, test.args...)...)
			assert.Equal(t, test.code, code)
			assert.Empty(t, stderr)
			if len(test.args) > 1 && test.args[len(test.args)-2] == "-o" {
				assert.Contains(t, stdout, test.expected)
			} else {
				assert.Equal(t, test.expected, stdout)
			}
		})
	}
}

// A user who waits sees what for, once for each reason.
func TestStatusNamesWhatItWaitsFor(t *testing.T) {
	code, stdout, stderr := world{objects: []client.Object{ready(notReady(v1alpha1.ReasonScaling, "2 of 3 desired pods exist"))}}.run(t, "status", "main", "--wait", "--timeout=10s")
	assert.Equal(t, exitNotYet, code)
	assert.Equal(t, "Waiting for KSMScale main: 2 of 3 desired pods exist\n", stderr)
	assert.Contains(t, stdout, "KSMScale main: not Ready, Scaling\n")
}

// Ctrl-C ends the command in a request as it does between two looks. Without a complete look there is no result, so it is an error.
func TestStatusIsInterrupted(t *testing.T) {
	unready := ready(notReady(v1alpha1.ReasonScaling, "2 of 3 desired pods exist"))
	for name, test := range map[string]struct {
		ksmScale *v1alpha1.KSMScale
		flag     string
		look     int
		code     int
		stderr   string
	}{
		"--watch of a ready one":    {ready(), "--watch", 2, exitAsDesired, ""},
		"--watch of an unready one": {unready, "--watch", 2, exitNotYet, ""},
		"--wait":                    {unready, "--wait", 3, exitNotYet, "Waiting for KSMScale main: 2 of 3 desired pods exist\n"},
		"the first look":            {ready(), "--watch", 1, exitError, "error: context canceled\n"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			looks := 0
			interrupted := func(list client.ObjectList) error {
				if _, areKSMScales := list.(*v1alpha1.KSMScaleList); areKSMScales {
					looks++
				}
				if looks == test.look {
					cancel()
				}
				return ctx.Err()
			}
			code, _, stderr := world{objects: []client.Object{test.ksmScale}, refused: interrupted}.runUntil(ctx, t, "status", test.flag)
			assert.Equal(t, test.code, code)
			assert.Equal(t, test.stderr, stderr)
			assert.Equal(t, test.look, looks)
		})
	}
}

// An interrupted request to a gate is no error of the look, and the gate has not answered.
func TestStatusIsInterruptedAtAGate(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	looks := 0
	w := world{objects: append(threeShards(fixtures.NotReady), ready()), refused: func(list client.ObjectList) error {
		if _, areKSMScales := list.(*v1alpha1.KSMScaleList); areKSMScales {
			looks++
		}
		return nil
	}}
	w.readGate = func(string) (string, error) {
		if looks == 2 {
			cancel()
		}
		return "it waits", ctx.Err()
	}
	code, stdout, stderr := w.runUntil(ctx, t, "status", "--watch")
	assert.Equal(t, exitAsDesired, code)
	assert.Empty(t, stderr)
	assert.Contains(t, stdout, "it waits")
	assert.NotContains(t, stdout, "context canceled")
}

// An API server that does not answer is one error, whatever the command needs of it.
func TestNoAPIServer(t *testing.T) {
	for _, command := range [][]string{{"check"}, {"status"}, {"where", "node/a"}, {"verify", "main"}} {
		var out, errOut bytes.Buffer
		code := Run(append(command, "--server", "http://127.0.0.1:1"), genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: &out, ErrOut: &errOut})
		assert.Equal(t, exitError, code)
		assert.Empty(t, out.String())
		assert.Regexp(t, "^error: the API server at http://127.0.0.1:1 does not answer, so check that `kubectl version` works: [^\n]*connection refused\n$", errOut.String())
	}
}

// While resharding, the tree has both partitions.
func TestStatusOfPartitions(t *testing.T) {
	objects := append(threeShards(), ready(func(k *v1alpha1.KSMScale) {
		k.Spec.Sharding.ShardCount = 5
		k.Status.ShardingStatus.Partitions = []int32{3, 5}
	}))
	_, stdout, _ := world{objects: objects}.run(t, "status", "main", "-o", "json")
	var result struct {
		KSMScales []overview `json:"ksmScales"`
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &result))
	partitions := result.KSMScales[0].Partitions
	require.Len(t, partitions, 2)
	assert.Equal(t, []any{int32(5), true, int32(3), false}, []any{partitions[0].TotalShards, partitions[0].Desired, partitions[1].TotalShards, partitions[1].Desired})
	assert.EqualValues(t, 3, result.KSMScales[0].ReadyReplicas)
	_, stdout, _ = world{objects: objects}.run(t, "status")
	assert.Contains(t, stdout, "partition of 5 shards, the desired one")
	assert.Contains(t, stdout, "partition of 3 shards, until the desired one takes over")
}

func TestErrors(t *testing.T) {
	noKind := func(client.ObjectList) error {
		return &meta.NoKindMatchError{GroupKind: schema.GroupKind{Group: "monitor.example.com", Kind: "KSMScale"}}
	}
	for name, test := range map[string]struct {
		world
		args     []string
		expected string
	}{
		"no such KSMScale":     {args: []string{"status", "other"}, expected: `error: KSMScale "other" does not exist: ` + "`kubectl get ksmscales` lists the names\n"},
		"not installed":        {world: world{refused: noKind}, args: []string{"status"}, expected: "KSMScale is not installed: `kubectl ksmscale check --pre`"},
		"another format":       {args: []string{"version", "-o", "xml"}, expected: `--output is "xml", and must be json or yaml`},
		"an unknown flag":      {args: []string{"status", "--wat"}, expected: "unknown flag: --wat"},
		"an unknown command":   {args: []string{"statsu"}, expected: `unknown command "statsu"`},
		"watch prints text":    {args: []string{"status", "--watch", "-o", "json"}, expected: "--watch prints text only"},
		"two names":            {args: []string{"status", "a", "b"}, expected: "accepts at most 1 arg"},
		"a plan of nothing":    {args: []string{"plan"}, expected: "plan needs the name of a KSMScale or --filename"},
		"fewer nodes than 0":   {args: []string{"plan", "main", "--nodes", "-1"}, expected: "--nodes has -1"},
		"a file without any":   {world: world{stdin: "kind: Pod"}, args: []string{"plan", "-f", "-"}, expected: "the file has no KSMScale"},
		"a file with a typo":   {world: world{stdin: "kind: KSMScale\nspec: {nodePerMonitor: 1}"}, args: []string{"plan", "-f", "-"}, expected: `unknown field "nodePerMonitor"`},
		"a file with an error": {world: world{stdin: "kind: KSMScale\nmetadata: {name: a}\nspec: {sharding: {enabled: true, shardCount: 30}}"}, args: []string{"plan", "-f", "-"}, expected: "spec.sharding.shardCount must be from 2 to 10"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := test.run(t, test.args...)
			assert.Equal(t, exitError, code)
			assert.Empty(t, stdout)
			assert.Contains(t, stderr, test.expected)
		})
	}
}

func TestCompletion(t *testing.T) {
	_, stdout, _ := world{objects: []client.Object{ready()}}.run(t, "__complete", "status", "")
	assert.Contains(t, stdout, "main\n")
	code, stdout, _ := world{}.run(t, "completion", "bash")
	assert.Zero(t, code)
	assert.Contains(t, stdout, "kubectl-ksmscale")
}
