package objects_test

import (
	"encoding/json"
	"math/rand/v2"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/example/ksmscale/config/crd"
	"github.com/example/ksmscale/gate"
	"github.com/example/ksmscale/test/specs"
)

// FuzzSpec draws a spec that the CustomResourceDefinition accepts. Its objects have valid metadata, and the gate accepts its arguments. The
// integration tests send objects of such specs to an API server.
func FuzzSpec(f *testing.F) {
	schema, err := crd.NewSchema()
	require.NoError(f, err)
	random := rand.NewChaCha8([32]byte{})
	for range 50 {
		data := make([]byte, 1000)
		_, _ = random.Read(data)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		ksmScale, err := specs.Draw(schema, data, "monitoring")
		require.NoError(t, err)
		for _, object := range specs.Objects(ksmScale) {
			text, err := json.Marshal(object)
			require.NoError(t, err)
			var head metav1.PartialObjectMetadata
			require.NoError(t, json.Unmarshal(text, &head))
			assert.Empty(t, apivalidation.ValidateObjectMetaAccessor(&head.ObjectMeta, head.Namespace != "", anyName, field.NewPath("metadata")).ToAggregate(), head.Name)
			switch head.Kind {
			case "Deployment":
				var deployment appsv1.Deployment
				require.NoError(t, json.Unmarshal(text, &deployment))
				assertDeployment(t, &deployment)
			case "HorizontalPodAutoscaler":
				var autoscaler autoscalingv2.HorizontalPodAutoscaler
				require.NoError(t, json.Unmarshal(text, &autoscaler))
				assert.GreaterOrEqual(t, autoscaler.Spec.MaxReplicas, *autoscaler.Spec.MinReplicas)
				assert.Positive(t, *autoscaler.Spec.MinReplicas)
			}
		}
	})
}

// anyName accepts each name, because the names of bindings have a colon.
func anyName(string, bool) []string { return nil }

func assertDeployment(t *testing.T, deployment *appsv1.Deployment) {
	t.Helper()
	assert.Nil(t, deployment.Spec.Replicas)
	assert.Empty(t, validation.IsDNS1123Label(deployment.Name))
	pod := deployment.Spec.Template
	assert.Empty(t, apivalidation.ValidateAnnotations(pod.Annotations, field.NewPath("annotations")).ToAggregate())
	for key, value := range pod.Labels {
		assert.Empty(t, validation.IsQualifiedName(key))
		assert.Empty(t, validation.IsValidLabelValue(value))
	}
	for key, value := range deployment.Spec.Selector.MatchLabels {
		assert.Equal(t, value, pod.Labels[key])
	}
	require.Len(t, pod.Spec.Containers, 2)
	assertUnprivileged(t, &pod.Spec)
	options := gate.NewOptions()
	flags := pflag.NewFlagSet("gate", pflag.ContinueOnError)
	options.AddFlags(flags)
	require.NoError(t, flags.Parse(pod.Spec.Containers[1].Args))
	require.NoError(t, options.Validate())
}

// assertUnprivileged checks that a spec cannot give the pods the rights of their node.
func assertUnprivileged(t *testing.T, pod *corev1.PodSpec) {
	t.Helper()
	for _, volume := range pod.Volumes {
		assert.Nil(t, volume.HostPath)
	}
	isHostProcess := func(options *corev1.WindowsSecurityContextOptions) bool {
		return options != nil && ptr.Deref(options.HostProcess, false)
	}
	assert.False(t, pod.HostPID || pod.HostIPC)
	if pod.SecurityContext != nil {
		assert.False(t, isHostProcess(pod.SecurityContext.WindowsOptions))
	}
	for _, container := range pod.Containers {
		context := container.SecurityContext
		assert.False(t, ptr.Deref(context.Privileged, false) || ptr.Deref(context.AllowPrivilegeEscalation, false))
		assert.False(t, isHostProcess(context.WindowsOptions))
		assert.True(t, context.Capabilities == nil || len(context.Capabilities.Add) == 0)
	}
}
