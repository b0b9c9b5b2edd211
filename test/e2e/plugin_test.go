package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/gate/sharding"
	"github.com/example/ksmscale/plugin"
	"github.com/example/ksmscale/test/docs/transcripts"
)

// ksmscale runs the kubectl plugin as the cluster's administrator, or as options in the arguments say. It returns the exit code.
func ksmscale(t *testing.T, arguments ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	code = plugin.Run(append(arguments, "--kubeconfig", shared.kubeconfig), genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: &out, ErrOut: &errOut})
	return code, out.String(), errOut.String()
}

// verified is the output of `kubectl ksmscale verify`.
type verified struct {
	Complete   bool
	Partitions []struct {
		Objects     int
		Differences []struct {
			Kind, Resource, Namespace, Name string
			PodShard                        int32
		}
	}
	NotCompared []struct{ Resource, Reason string }
}

// verify runs `kubectl ksmscale verify`, which must end with an exit code.
func verify(t *testing.T, ksmScale *v1alpha1.KSMScale, expectedCode int) verified {
	t.Helper()
	code, stdout, stderr := ksmscale(t, "verify", ksmScale.Name, "-o", "json")
	require.Equal(t, expectedCode, code, "%s%s", stdout, stderr)
	var result verified
	require.NoError(t, json.Unmarshal([]byte(stdout), &result))
	assert.Equal(t, expectedCode == 0, result.Complete)
	return result
}

// seeVerified checks what the plugin finds on pods that export what they should, and on a pod that exports another shard. There it also runs
// the commands of the runbook.
func seeVerified(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	result := verify(t, ksmScale, 0)
	require.Len(t, result.Partitions, 1)
	assert.Greater(t, result.Partitions[0].Objects, 20)
	assert.Empty(t, result.Partitions[0].Differences)
	seeTranscript(t, ksmScale, "verify main", "verify", ksmScale.Name)
	seeTranscript(t, ksmScale, "check", "check")

	restart := stopController(t)
	exportShard(t, ksmScale, 0, 1)
	result = verify(t, ksmScale, 1)
	type key struct{ kind, namespace string }
	named := map[key]bool{}
	for _, difference := range result.Partitions[0].Differences {
		assert.EqualValues(t, 0, difference.PodShard)
		if difference.Resource == "namespaces" {
			named[key{difference.Kind, difference.Name}] = true
		}
	}
	expected := map[key]bool{}
	for _, namespace := range namespaces(t) {
		kind := "WrongShard"
		if sharding.ShardOf(namespace.UID, ksmScale.TotalShards()) == 0 {
			kind = "Missing"
		}
		expected[key{kind, namespace.Name}] = true
	}
	assert.Equal(t, expected, named)
	seeRunbook(t, ksmScale)
	restart()
	awaitCorrected(t, ksmScale, 0)
	verify(t, ksmScale, 0)
}

// awaitCorrected waits until the controller has made a shard export its own objects again. The status is about what was before until then.
func awaitCorrected(t *testing.T, ksmScale *v1alpha1.KSMScale, id int32) {
	t.Helper()
	await(t, "the controller to correct the shard", func(ctx context.Context) error {
		deployment := &appsv1.Deployment{}
		if err := shared.client.Get(ctx, shardKey(ksmScale, id), deployment); err != nil {
			return err
		}
		if arguments := deployment.Spec.Template.Spec.Containers[0].Args; !slices.Contains(arguments, fmt.Sprintf("--shard=%d", id)) {
			return fmt.Errorf("its arguments are %v", arguments)
		}
		return nil
	})
	awaitShard(t, ksmScale, id)
	awaitReady(t, ksmScale)
}

func shardKey(ksmScale *v1alpha1.KSMScale, id int32) client.ObjectKey {
	shard := v1alpha1.Shard{KSMScale: ksmScale.Name, ID: id, Total: ksmScale.TotalShards()}
	return client.ObjectKey{Namespace: monitoringNamespace, Name: shard.Name()}
}

// seeTranscript compares what a command prints with its transcript, in which the KSMScale is main.
func seeTranscript(t *testing.T, ksmScale *v1alpha1.KSMScale, transcript string, arguments ...string) {
	t.Helper()
	code, stdout, stderr := ksmscale(t, arguments...)
	assert.Zero(t, code, stdout+stderr)
	transcripts.Compare(t, transcript, strings.ReplaceAll(stdout, ksmScale.Name, "main"))
}

func namespaces(t *testing.T) []corev1.Namespace {
	t.Helper()
	var list corev1.NamespaceList
	require.NoError(t, shared.client.List(t.Context(), &list))
	require.NotEmpty(t, list.Items)
	return list.Items
}

// stopController stops the controller, so it does not correct what a test changes. The returned function starts it again.
func stopController(t *testing.T) (restart func()) {
	t.Helper()
	scale := func(replicas string) {
		kubectl(t, "scale", "-n", systemNamespace, "deployment/ksmscale-controller", "--replicas="+replicas)
		awaitAvailable(t, systemNamespace, "ksmscale-controller")
	}
	scale("0")
	kubectl(t, "wait", "-n", systemNamespace, "--for=delete", "pod", "-l", "app.kubernetes.io/component=controller", "--timeout=2m")
	t.Cleanup(func() { kubectl(t, "scale", "-n", systemNamespace, "deployment/ksmscale-controller", "--replicas=1") })
	return func() { scale("1") }
}

// exportShard makes the pods of a shard export another one. Their gates agree, so that they become ready.
func exportShard(t *testing.T, ksmScale *v1alpha1.KSMScale, id, other int32) {
	t.Helper()
	changeShard(t, ksmScale, id, func(_ string, arguments []string) []string { return withShard(t, arguments, other) })
	awaitShard(t, ksmScale, id)
}

// withShard returns arguments of a container with another shard.
func withShard(t *testing.T, arguments []string, shard int32) []string {
	t.Helper()
	index := slices.IndexFunc(arguments, func(argument string) bool { return strings.HasPrefix(argument, "--shard=") })
	require.GreaterOrEqual(t, index, 0)
	changed := slices.Clone(arguments)
	changed[index] = fmt.Sprintf("--shard=%d", shard)
	return changed
}

// changeShard changes the arguments of each container of the pods of a shard. The function gets the name of the container.
func changeShard(t *testing.T, ksmScale *v1alpha1.KSMScale, id int32, change func(container string, arguments []string) []string) {
	t.Helper()
	deployment := &appsv1.Deployment{}
	require.NoError(t, shared.client.Get(t.Context(), shardKey(ksmScale, id), deployment))
	changed := deployment.DeepCopy()
	for i := range changed.Spec.Template.Spec.Containers {
		container := &changed.Spec.Template.Spec.Containers[i]
		container.Args = change(container.Name, container.Args)
	}
	require.NoError(t, shared.client.Patch(t.Context(), changed, client.MergeFrom(deployment)))
}

// awaitShard waits until the pods of a shard have been replaced, and are ready.
func awaitShard(t *testing.T, ksmScale *v1alpha1.KSMScale, id int32) {
	t.Helper()
	kubectl(t, "rollout", "status", "-n", monitoringNamespace, "deployment/"+shardKey(ksmScale, id).Name, "--timeout=5m")
}

// seeWhere checks that a pod that should export a namespace does, and that no other pod does.
func seeWhere(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	code, stdout, stderr := ksmscale(t, "where", "namespace/"+monitoringNamespace, "-o", "json")
	require.Zero(t, code, stderr)
	var result struct {
		Exporters []struct {
			KSMScale string
			Exported bool
			Pods     []string
		}
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &result))
	index := slices.IndexFunc(result.Exporters, func(one struct {
		KSMScale string
		Exported bool
		Pods     []string
	}) bool {
		return one.KSMScale == ksmScale.Name
	})
	require.GreaterOrEqual(t, index, 0, stdout)
	require.NotEmpty(t, result.Exporters[index].Pods)
	seeTranscript(t, ksmScale, "where namespace/monitoring", "where", "namespace/"+monitoringNamespace)
	for _, pod := range shardPods(t, ksmScale) {
		families := metrics(t, "http://"+pod.Status.PodIP+":8080/metrics", "")
		exports := len(seriesIn(families["kube_namespace_created"], monitoringNamespace)) > 0
		assert.Equal(t, slices.Contains(result.Exporters[index].Pods, pod.Name), exports, pod.Name)
	}
}

// seeRefusal checks that the plugin names the rights that a user lacks.
func seeRefusal(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	kubectl(t, "create", "clusterrolebinding", "e2e-viewer", "--clusterrole=view", "--user=e2e-viewer")
	t.Cleanup(func() { kubectl(t, "delete", "clusterrolebinding", "e2e-viewer") })
	kubectl(t, "create", "clusterrole", "e2e-ksmscales", "--verb=get,list", "--resource=ksmscales.monitor.example.com")
	t.Cleanup(func() { kubectl(t, "delete", "clusterrole", "e2e-ksmscales") })
	kubectl(t, "create", "clusterrolebinding", "e2e-ksmscales", "--clusterrole=e2e-ksmscales", "--user=e2e-viewer")
	t.Cleanup(func() { kubectl(t, "delete", "clusterrolebinding", "e2e-ksmscales") })
	awaitRight(t, "e2e-viewer", authorizationv1.ResourceAttributes{Verb: "list", Resource: "pods"}, true)
	awaitRight(t, "e2e-viewer", authorizationv1.ResourceAttributes{Verb: "list", Group: v1alpha1.GroupVersion.Group, Resource: "ksmscales"}, true)
	code, _, stderr := ksmscale(t, "verify", ksmScale.Name, "--as", "e2e-viewer")
	assert.Equal(t, 2, code)
	assert.Contains(t, stderr, "you lack these rights: create pods/portforward in namespace "+monitoringNamespace)
	assert.Contains(t, stderr, "list nodes (to compare them)")
	assert.NotContains(t, stderr, "list pods (")
}
