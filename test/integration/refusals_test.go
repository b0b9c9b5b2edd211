package integration

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
)

const reasonFailedCreate = "FailedCreate"

// Where others refuse pods without limits, the condition names them and the fields to set, with which the pods run.
func TestRefusedPodsRunWithResourcesOfTheGate(t *testing.T) {
	setNodes(t, 10)
	for _, test := range []struct {
		name string
		// limit creates what refuses the pods of a namespace.
		limit func(t *testing.T, namespace string)
		says  string
	}{
		{"a quota", quotaOfLimits, "failed quota: small"},
		{"a LimitRange", leastMemory, "(LimitRange large): set requests and limits"},
		{"a policy", limitsPolicy, "ValidatingAdmissionPolicy 'limits-on-all-containers"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ksmScale := newKSMScale()
			createNamespace(t, ksmScale.Spec.Namespace)
			test.limit(t, ksmScale.Spec.Namespace)
			create(t, ksmScale)
			condition := awaitCondition(t, ksmScale, v1alpha1.ConditionProgressing, metav1.ConditionFalse, reasonFailedCreate)
			assert.Contains(t, condition.Message, test.says)
			assert.Contains(t, condition.Message, "spec.resources for container kube-state-metrics, and in spec.template.gate.resources for container gate")

			limited := corev1.ResourceRequirements{Limits: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("256Mi"),
			}}
			update(t, ksmScale, func(k *v1alpha1.KSMScale) {
				k.Spec.Resources, k.Spec.Template = limited, &v1alpha1.PodTemplate{Gate: &v1alpha1.GateConfig{Resources: &limited}}
			})
			awaitReplicas(t, ksmScale, 1, 1, 1)
			awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAtMinimum)
		})
	}
}

func quotaOfLimits(t *testing.T, namespace string) {
	t.Helper()
	require.NoError(t, shared.client.Create(t.Context(), &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "small"},
		Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{
			corev1.ResourceLimitsCPU: resource.MustParse("4"), corev1.ResourceLimitsMemory: resource.MustParse("8Gi"),
		}},
	}))
}

// leastMemory is more than the gate requests by default.
func leastMemory(t *testing.T, namespace string) {
	t.Helper()
	require.NoError(t, shared.client.Create(t.Context(), &corev1.LimitRange{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "large"},
		Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
			Type: corev1.LimitTypeContainer, Min: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("128Mi")},
		}}},
	}))
}

// limitsPolicy refuses pods with a container without a limit of memory, and is in effect when it returns.
func limitsPolicy(t *testing.T, namespace string) {
	t.Helper()
	name := "limits-on-all-containers-" + namespace
	policy := &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionregistrationv1.MatchResources{
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}},
				ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: admissionregistrationv1.RuleWithOperations{
					Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
					Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
				}}},
			},
			Validations: []admissionregistrationv1.Validation{{
				Expression: "object.spec.containers.all(c, has(c.resources) && has(c.resources.limits) && 'memory' in c.resources.limits)",
				Message:    "each container needs a limit of memory",
			}},
		},
	}
	binding := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: name, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
		},
	}
	require.NoError(t, shared.client.Create(t.Context(), policy))
	t.Cleanup(func() { remove(t, policy) })
	require.NoError(t, shared.client.Create(t.Context(), binding))
	t.Cleanup(func() { remove(t, binding) })
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "unlimited"},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "any", Image: "any"}}},
		}
		require.ErrorContains(c, shared.client.Create(t.Context(), pod, client.DryRunAll), "each container needs a limit of memory")
	}, eventually, poll)
}

// Windows nodes count, and run no pod.
func TestPodsRunOnLinuxNodesOnly(t *testing.T) {
	setNodes(t, 9)
	windows := map[string]bool{}
	for _, number := range []int{0, 1, 2, 3, 4, 5} {
		relabel(t, number, map[string]any{corev1.LabelOSStable: "windows"})
		windows[fmt.Sprintf("fake-node-%05d", number)] = true
	}
	ksmScale := create(t, newKSMScale(func(k *v1alpha1.KSMScale) { k.Spec.NodesPerMonitor = 1 }))
	awaitReplicas(t, ksmScale, 3, 3, 3)
	require.NoError(t, get(t, ksmScale))
	assert.EqualValues(t, 9, ksmScale.Status.NodeCount)
	for _, pod := range podsOf(t, ksmScale) {
		assert.False(t, windows[pod.Spec.NodeName], "%s runs on %s", pod.Name, pod.Spec.NodeName)
	}

	update(t, ksmScale, func(k *v1alpha1.KSMScale) {
		k.Spec.Template = &v1alpha1.PodTemplate{NodeSelector: map[string]v1alpha1.LabelValue{corev1.LabelOSStable: "windows"}}
	})
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		for _, pod := range podsOf(t, ksmScale) {
			require.True(c, windows[pod.Spec.NodeName], "%s runs on %s", pod.Name, pod.Spec.NodeName)
		}
	}, eventually, poll)
}
