package integration

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/ksmflags"
	"github.com/example/ksmscale/test/cluster/audit"
)

// With spec.sharding.auto and spec.autoResources off, a recommendation is a text in the status: the controller writes the same objects as
// without one, the same Deployments, and the same status otherwise. With autoResources on, this comparison finds a difference.
func TestARecommendationChangesNothingByItself(t *testing.T) {
	setNodes(t, 10)
	// The controller may always list most of the other resources, and count them.
	configMaps := func(k *v1alpha1.KSMScale) { k.Spec.Metrics.Resources = []string{"configmaps"} }
	without, writtenWithout := writesFor(t, newKSMScale(configMaps))
	require.Nil(t, without.Status.Recommendation, "the controller may not count them, and nothing has been measured")
	assert.Equal(t, []string{
		"patch horizontalpodautoscalers ksm-NAME-shard-0-of-3", "patch horizontalpodautoscalers ksm-NAME-shard-1-of-3", "patch horizontalpodautoscalers ksm-NAME-shard-2-of-3",
		"patch poddisruptionbudgets ksm-NAME-shard-0-of-3", "patch poddisruptionbudgets ksm-NAME-shard-1-of-3", "patch poddisruptionbudgets ksm-NAME-shard-2-of-3",
		"patch services ksm-NAME-shard-0-of-3", "patch services ksm-NAME-shard-1-of-3", "patch services ksm-NAME-shard-2-of-3",
	}, slices.DeleteFunc(slices.Clone(writtenWithout), func(write string) bool {
		return strings.Contains(write, "deployments") || strings.Contains(write, "ksmscales") || strings.Contains(write, "serviceaccounts") || strings.Contains(write, "clusterrolebindings")
	}))

	counts := filepath.FromSlash("../../deploy/rbac/object-counts.yaml")
	_, err := shared.installed.Kubectl(t.Context(), "apply", "-f", counts)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := shared.installed.Kubectl(afterwards(t), "delete", "--ignore-not-found", "-f", counts)
		assert.NoError(t, err)
	})
	with, writtenWith := writesFor(t, newKSMScale(configMaps))
	require.NotNil(t, with.Status.Recommendation)
	require.NotNil(t, with.Status.Recommendation.MemoryRequest)
	assert.Equal(t, writtenWithout, writtenWith)
	assert.JSONEq(t, deploymentsOf(t, without), deploymentsOf(t, with))
	assert.Equal(t, slices.Sorted(slices.Values(append(fieldsOf(t, without.Status), "recommendation"))), fieldsOf(t, with.Status))
	assert.Equal(t, conditionTypes(without), conditionTypes(with))
	assert.NotContains(t, conditionTypes(with), v1alpha1.ConditionSized)
	assert.NotContains(t, conditionTypes(with), v1alpha1.ConditionScrapable)
	assertNothingIsSentAgain(t, with)

	automatic, _ := writesFor(t, newKSMScale(configMaps, func(k *v1alpha1.KSMScale) { k.Spec.AutoResources = &v1alpha1.AutoResources{} }))
	assert.NotEqual(t, deploymentsOf(t, without), deploymentsOf(t, automatic))
	assert.Contains(t, conditionTypes(automatic), v1alpha1.ConditionSized)

	// Without a count of one of the resources there would be no recommendation.
	all := create(t, newKSMScale(func(k *v1alpha1.KSMScale) {
		k.Spec.Metrics.Resources = slices.DeleteFunc(slices.Clone(ksmflags.Resources), func(resource string) bool { return resource == "secrets" })
	}))
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.NoError(c, get(t, all))
		require.NotNil(c, all.Status.Recommendation)
	}, eventually, poll)
}

// writesFor creates a KSMScale and waits until it is Ready. It returns the KSMScale, and what the controller wrote for it: each object once,
// in order, with NAME for the name of the KSMScale.
func writesFor(t *testing.T, ksmScale *v1alpha1.KSMScale) (*v1alpha1.KSMScale, []string) {
	t.Helper()
	mark := auditMark(t)
	create(t, ksmScale)
	awaitReplicas(t, ksmScale, 1, 1, 1)
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAtMinimum)
	awaitQuiet(t, monitorClient(t), afterAChange)
	require.NoError(t, get(t, ksmScale))
	writes := sets.New[string]()
	for _, event := range audit.Writes(auditSince(t, mark), controllerUser) {
		// The names and the number of events depend on the time.
		isEvent := event.ObjectRef.Resource == "events"
		if write := strings.Join([]string{event.Verb, event.ObjectRef.Resource, event.ObjectRef.Name}, " "); !isEvent && strings.Contains(write, ksmScale.Name) {
			writes.Insert(strings.ReplaceAll(write, ksmScale.Name, "NAME"))
		}
	}
	return ksmScale, sets.List(writes)
}

// deploymentsOf has the specs of the Deployments as JSON, with NAME for the name of the KSMScale.
func deploymentsOf(t *testing.T, ksmScale *v1alpha1.KSMScale) string {
	t.Helper()
	var specs []appsv1.DeploymentSpec
	for id := range int32(3) {
		deployment := shardObject(ksmScale, id, &appsv1.Deployment{})
		require.NoError(t, get(t, deployment))
		specs = append(specs, deployment.Spec)
	}
	text, err := json.Marshal(specs)
	require.NoError(t, err)
	return strings.ReplaceAll(string(text), ksmScale.Name, "NAME")
}

// fieldsOf are the names of the fields of a status, in order.
func fieldsOf(t *testing.T, status v1alpha1.KSMScaleStatus) []string {
	t.Helper()
	text, err := json.Marshal(status)
	require.NoError(t, err)
	var fields map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(text, &fields))
	return slices.Sorted(maps.Keys(fields))
}

func conditionTypes(ksmScale *v1alpha1.KSMScale) []string {
	var types []string
	for _, condition := range ksmScale.Status.Conditions {
		types = append(types, condition.Type)
	}
	slices.Sort(types)
	return types
}
