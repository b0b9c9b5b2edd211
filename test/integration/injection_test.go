package integration

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
)

// inject adds an init container to each pod that is created in a namespace, like a service mesh, until the test ends.
func inject(t *testing.T, namespace, containerName string) {
	t.Helper()
	metadata := metav1.ObjectMeta{Name: namespace + "-inject"}
	policy := &admissionregistrationv1.MutatingAdmissionPolicy{ObjectMeta: metadata, Spec: admissionregistrationv1.MutatingAdmissionPolicySpec{
		MatchConstraints: &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{
			RuleWithOperations: admissionregistrationv1.RuleWithOperations{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
			},
		}}},
		ReinvocationPolicy: admissionregistrationv1.NeverReinvocationPolicy,
		FailurePolicy:      new(admissionregistrationv1.Fail),
		Mutations: []admissionregistrationv1.Mutation{{
			PatchType: admissionregistrationv1.PatchTypeApplyConfiguration,
			ApplyConfiguration: &admissionregistrationv1.ApplyConfiguration{
				Expression: `Object{spec: Object.spec{initContainers: [Object.spec.initContainers{name: "` + containerName + `", image: "mesh"}]}}`,
			},
		}},
	}}
	binding := &admissionregistrationv1.MutatingAdmissionPolicyBinding{ObjectMeta: metadata, Spec: admissionregistrationv1.MutatingAdmissionPolicyBindingSpec{
		PolicyName: metadata.Name,
		MatchResources: &admissionregistrationv1.MatchResources{
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}},
		},
	}}
	for _, object := range []client.Object{policy, binding} {
		require.NoError(t, shared.client.Create(t.Context(), object))
		t.Cleanup(func() { remove(t, object) })
	}
	// The API server has an informer of policies.
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "probe"},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "probe", Image: "probe"}}},
		}
		require.NoError(c, shared.client.Create(t.Context(), pod, client.DryRunAll))
		require.Len(c, pod.Spec.InitContainers, 1)
	}, eventually, poll)
}

// A container that a mesh injects can prevent a shard's pods from starting, and the status names it.
func TestInitContainerThatFails(t *testing.T) {
	setNodes(t, 10)
	ksmScale := newKSMScale(onKubelet(t))
	createNamespace(t, ksmScale.Spec.Namespace)
	inject(t, ksmScale.Spec.Namespace, "mesh-init")
	create(t, ksmScale)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		var pods corev1.PodList
		require.NoError(c, shared.client.List(t.Context(), &pods, client.MatchingLabels{v1alpha1.LabelKSMScale: ksmScale.Name}))
		require.Len(c, pods.Items, 3)
		for i := range pods.Items {
			pod := &pods.Items[i]
			require.NotEmpty(c, pod.Spec.NodeName)
			ended := metav1.Now()
			pod.Status.InitContainerStatuses = []corev1.ContainerStatus{{
				Name: "mesh-init", Image: "mesh", RestartCount: 3,
				State:                corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off 40s"}},
				LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 7, Reason: "Error", StartedAt: ended, FinishedAt: ended}},
			}}
			require.NoError(c, shared.client.Status().Update(t.Context(), pod))
		}
	}, eventually, poll)
	condition := awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionFalse, "CrashLoopBackOff")
	assert.Contains(t, condition.Message, "Init container mesh-init of pod "+shardOf(ksmScale, 0).Name())
	assert.Contains(t, condition.Message, "last with exit code 7")
	awaitEvent(t, ksmScale, corev1.EventTypeWarning, "CrashLoopBackOff")
}
