package integration

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/cluster/audit"
)

// policyToleration is what a policy adds to Deployments, in a list that the controller owns as a whole.
const policyToleration = "policy.example.com"

// The API server sets defaults, rounds quantities and admits the changes of a policy. The controller does not revert
// these. It still reverts changes by others.
func TestWhatTheAPIServerChangesIsNotSentAgain(t *testing.T) {
	leaveRunning(t)
	setNodes(t, 10)
	ksmScale := newKSMScale(everyOptionOfPods)
	createNamespace(t, ksmScale.Spec.Namespace)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ksmScale.Spec.Namespace, Name: ksmScale.Spec.Template.ServiceAccountName}}
	require.NoError(t, shared.client.Create(t.Context(), account))
	mutateDeployments(t, ksmScale.Spec.Namespace)
	create(t, ksmScale)
	awaitReplicas(t, ksmScale, 1, 1, 1)
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAtMinimum)
	deployment := shardObject(ksmScale, 0, &appsv1.Deployment{})
	require.NoError(t, get(t, deployment))
	pod := deployment.Spec.Template.Spec
	assert.Equal(t, "2m", pod.Containers[0].Resources.Requests.Cpu().String(), "the API server rounds")
	assert.Equal(t, []string{"a", policyToleration}, []string{pod.Tolerations[0].Key, pod.Tolerations[1].Key})

	assertNothingIsSentAgain(t, ksmScale)
	edit(t, deployment, func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = "other" },
		func(d *appsv1.Deployment) any { return d.Spec.Template.Spec.Containers[0].Image }, ksmScale.Spec.MonitorImage)
	edit(t, deployment, func(d *appsv1.Deployment) { d.Spec.Template.Spec.Tolerations[0].Key = "b" },
		func(d *appsv1.Deployment) any { return d.Spec.Template.Spec.Tolerations[0].Key }, "a")
	assertNothingIsSentAgain(t, ksmScale)

	require.NoError(t, shared.controller.Stop(t.Context()))
	startController(t, "controller-that-applied-nothing")
	assertNothingIsSentAgain(t, ksmScale)
}

// assertNothingIsSentAgain checks that the controller writes to no object of a KSMScale that it reconciles several times. Before, it
// may apply an object once more that others wrote to as it was applied.
func assertNothingIsSentAgain(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	lookAgain(t, ksmScale)
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAtMinimum)
	awaitQuiet(t, monitorClient(t), afterAChange)
	mark := auditMark(t)
	for range 3 {
		lookAgain(t, ksmScale)
	}
	awaitWrite(t, mark, controllerUser, "ksmscales")
	for _, write := range audit.Writes(auditSince(t, mark), controllerUser) {
		assert.NotEqual(t, ksmScale.Spec.Namespace, write.ObjectRef.Namespace, "%s %s", write.Verb, write.RequestURI)
	}
}

// everyOptionOfPods sets each field of spec.template, in ways that the API server completes.
func everyOptionOfPods(k *v1alpha1.KSMScale) {
	nodeName := &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "spec.nodeName"}}
	labelsFile := corev1.DownwardAPIVolumeFile{Path: "labels", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels"}}
	k.Spec.Resources = corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1500u"), corev1.ResourceMemory: resource.MustParse("0.1Gi")},
		Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1024Mi")},
	}
	k.Spec.CommonLabels = map[string]v1alpha1.LabelValue{"example.com/team": "a"}
	k.Spec.CommonAnnotations = map[string]v1alpha1.AnnotationValue{"example.com/owner": "Team A"}
	k.Spec.Template = &v1alpha1.PodTemplate{
		ExtraArgs:            []string{"--v=4"},
		Labels:               map[string]v1alpha1.LabelValue{"example.com/team": "a"},
		Annotations:          map[string]string{"example.com/owner": "Team A"},
		ServiceAccountName:   "own",
		ImagePullSecrets:     []corev1.LocalObjectReference{{Name: "registry"}},
		ImagePullPolicy:      corev1.PullIfNotPresent,
		Env:                  []corev1.EnvVar{{Name: "NODE", ValueFrom: nodeName}, {Name: "EMPTY"}},
		GoMemoryLimitPercent: 90,
		Volumes: []corev1.Volume{
			{Name: "secret", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "a"}}},
			{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "a"}, Items: []corev1.KeyToPath{{Key: "a", Path: "a"}}}}},
			{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: new(resource.MustParse("0.5Gi"))}}},
			{Name: "downward", VolumeSource: corev1.VolumeSource{DownwardAPI: &corev1.DownwardAPIVolumeSource{Items: []corev1.DownwardAPIVolumeFile{labelsFile}}}},
			{Name: "projected", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token"}},
				{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{labelsFile}}},
				{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "a"}}},
			}}}},
		},
		VolumeMounts:             []corev1.VolumeMount{{Name: "scratch", MountPath: "/scratch"}, {Name: "projected", MountPath: "/projected", ReadOnly: true}},
		SecurityContext:          &corev1.PodSecurityContext{FSGroup: new(int64(65534))},
		ContainerSecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
		NodeSelector:             map[string]v1alpha1.LabelValue{corev1.LabelOSStable: "linux"},
		Tolerations:              []v1alpha1.Toleration{{Key: "a", Effect: corev1.TaintEffectNoExecute, TolerationSeconds: new(int64(60))}},
		Affinity:                 everyAffinity(),
		PriorityClassName:        "system-cluster-critical",
		HostNetwork:              true,
		DNSPolicy:                corev1.DNSClusterFirstWithHostNet,
		DNSConfig:                &corev1.PodDNSConfig{Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: new("1")}}},
		Gate: &v1alpha1.GateConfig{Resources: &corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1500u"), corev1.ResourceMemory: resource.MustParse("64Mi")},
			Limits:   corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1500u"), corev1.ResourceMemory: resource.MustParse("0.5Gi")},
		}},
	}
}

func everyAffinity() *corev1.Affinity {
	others := corev1.PodAffinityTerm{TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "other"}}}
	linux := corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelOSStable, Operator: corev1.NodeSelectorOpExists}}}
	return &corev1.Affinity{
		NodeAffinity: &corev1.NodeAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution:  &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{linux}},
			PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{{Weight: 1, Preference: linux}},
		},
		PodAffinity: &corev1.PodAffinity{
			PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{Weight: 1, PodAffinityTerm: others}},
		},
		PodAntiAffinity: &corev1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{others},
		},
	}
}

// A field that is added to the template is to be added to the sample.
func TestEveryOptionOfPodsIsSet(t *testing.T) {
	ksmScale := newKSMScale(everyOptionOfPods)
	value := reflect.ValueOf(*ksmScale.Spec.Template)
	for i := range value.NumField() {
		assert.False(t, value.Field(i).IsZero(), "everyOptionOfPods does not set spec.template.%s", value.Type().Field(i).Name)
	}
}

// mutateDeployments has a policy add a toleration to each Deployment of a namespace, until the test ends.
func mutateDeployments(t *testing.T, namespace string) {
	t.Helper()
	policy := &admissionregistrationv1.MutatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	policy.Spec = admissionregistrationv1.MutatingAdmissionPolicySpec{
		MatchConstraints: &admissionregistrationv1.MatchResources{
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}},
			ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: admissionregistrationv1.RuleWithOperations{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{"apps"}, APIVersions: []string{"v1"}, Resources: []string{"deployments"}},
			}}},
		},
		MatchConditions: []admissionregistrationv1.MatchCondition{{
			Name: "once", Expression: "!object.spec.template.spec.tolerations.exists(t, has(t.key) && t.key == '" + policyToleration + "')",
		}},
		FailurePolicy:      new(admissionregistrationv1.Fail),
		ReinvocationPolicy: admissionregistrationv1.NeverReinvocationPolicy,
		Mutations: []admissionregistrationv1.Mutation{{
			PatchType: admissionregistrationv1.PatchTypeJSONPatch,
			JSONPatch: &admissionregistrationv1.JSONPatch{Expression: `[JSONPatch{op: "add", path: "/spec/template/spec/tolerations/-",
				value: Object.spec.template.spec.tolerations{key: "` + policyToleration + `", operator: "Exists"}}]`},
		}},
	}
	binding := &admissionregistrationv1.MutatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	binding.Spec.PolicyName = policy.Name
	for _, object := range []client.Object{policy, binding} {
		require.NoError(t, shared.client.Create(t.Context(), object))
		t.Cleanup(func() { remove(t, object) })
	}
	awaitMutation(t, namespace)
}

// awaitMutation waits until the API server has noticed the policy.
func awaitMutation(t *testing.T, namespace string) {
	t.Helper()
	labels := map[string]string{"app": "any"}
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "any"}, Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
				Containers:  []corev1.Container{{Name: "any", Image: "any"}},
				Tolerations: []corev1.Toleration{{Key: "a"}},
			}},
		}}
		require.NoError(c, shared.client.Create(t.Context(), deployment, client.DryRunAll))
		require.Len(c, deployment.Spec.Template.Spec.Tolerations, 2)
	}, eventually, poll)
}
