package chart

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"helm.sh/helm/v4/pkg/release"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
)

// hooks are the objects that Helm creates for `helm test`.
func hooks(t *testing.T, text string) objects {
	t.Helper()
	rendered, err := install(t, text)
	require.NoError(t, err)
	accessor, err := release.NewAccessor(rendered)
	require.NoError(t, err)
	all := objects{}
	for _, hook := range accessor.Hooks() {
		accessor, err := release.NewHookAccessor(hook)
		require.NoError(t, err)
		all.add(t, accessor.Manifest())
	}
	return all
}

// helm test runs the adapter's own check, with exactly the rights that it needs. Package integration runs it.
func TestHelmTest(t *testing.T) {
	const text = "{image: {registry: mirror.test/a, pullPolicy: Always}, imagePullSecrets: [{name: registry}]}"
	rendered := hooks(t, text)
	assert.Equal(t, []string{
		"ClusterRole ksmscale-test", "ClusterRoleBinding ksmscale-test", "Pod ksmscale-system/ksmscale-test", "ServiceAccount ksmscale-system/ksmscale-test",
	}, sorted(maps.Keys(rendered)))
	for name, manifest := range rendered {
		assert.Equal(t, "test", manifest.GetAnnotations()["helm.sh/hook"], name)
	}
	decoded := typed(t, rendered)
	pod, ok := decoded["Pod ksmscale-system/ksmscale-test"].(*corev1.Pod)
	require.True(t, ok)
	container := pod.Spec.Containers[0]
	assert.Equal(t, []string{"/adapter", "check"}, container.Command)
	assert.Equal(t, deployment(t, "adapter", text).Spec.Template.Spec.Containers[0].Image, container.Image)
	assert.Equal(t, corev1.PullAlways, container.ImagePullPolicy)
	assert.Equal(t, "registry", pod.Spec.ImagePullSecrets[0].Name)
	assert.Equal(t, new(true), pod.Spec.SecurityContext.RunAsNonRoot)
	assert.Equal(t, new(true), container.SecurityContext.ReadOnlyRootFilesystem)
	role, ok := decoded["ClusterRole ksmscale-test"].(*rbacv1.ClusterRole)
	require.True(t, ok)
	for _, rule := range role.Rules {
		assert.Equal(t, []string{"list"}, rule.Verbs)
	}

	assert.Empty(t, hooks(t, "adapter: {enabled: false}"))
	assert.Equal(t, []string{"Pod ksmscale-system/ksmscale-test", "ServiceAccount ksmscale-system/ksmscale-test"}, sorted(maps.Keys(hooks(t, "rbac: {create: false}"))))
}
