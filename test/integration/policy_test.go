package integration

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
)

const (
	boundsFile = "../../deploy/policies/bounded-ksmscales.yaml"
	boundsName = "ksmscale-bounds"
	// tenant is a user who may do everything with KSMScales, and hardly anything else.
	tenant = "tenant"
)

func TestThePolicyBoundsKSMScales(t *testing.T) {
	asTenant := boundTenant(t)

	t.Run("what gives more rights is refused", func(t *testing.T) {
		for _, test := range []struct {
			name    string
			spec    map[string]any
			message string
		}{
			{"a namespace of the system", fields("namespace", "kube-system"), "spec.namespace must be one of monitoring, not kube-system"},
			{"an image of one's own", fields("monitorImage", "example.org/kube-state-metrics:v2.20.0"), "spec.monitorImage must be a tag or digest of one of registry.k8s.io/kube-state-metrics/kube-state-metrics"},
			{"an image whose name only begins so", fields("monitorImage", "registry.k8s.io/kube-state-metrics/kube-state-metrics-own:v1"), "spec.monitorImage must be a tag or digest"},
			{"Secrets", metrics("resources", listOf("pods", "secrets")), "spec.metrics.resources must not name secrets"},
			{"Secrets by a flag", extraArgs("--resources=secrets"), "spec.template.extraArgs must set only --v"},
			{"another service account", template("serviceAccountName", "admin"), "spec.template.serviceAccountName must not be set"},
			{"Secrets of others for images", template("imagePullSecrets", listOf(fields("name", "a"))), "spec.template.imagePullSecrets must not be set"},
			{"an address of another API server", env(fields("name", "KUBERNETES_SERVICE_HOST", "value", "192.0.2.1")), "spec.template.env must set only GOGC"},
			{"a variable from a Secret", env(fields("name", "TZ", "valueFrom", fields("secretKeyRef", fields("name", "a", "key", "b")))), "to plain values"},
			{"a Secret in a volume", volume("secret", fields("secretName", "a")), "spec.template.volumes must be of type configMap"},
			{"a token in a volume", volume("projected", fields("sources", listOf(fields("serviceAccountToken", fields("path", "token"))))), "spec.template.volumes must be of type configMap"},
			{"the network of nodes", template("hostNetwork", true), "spec.template.hostNetwork must not be set"},
			{"priority over all others", template("priorityClassName", "system-node-critical"), "spec.template.priorityClassName must not start with system-"},
			{"containers without restrictions", container(), "spec.template.containerSecurityContext must have runAsNonRoot: true"},
			{"containers that may be root", container("runAsNonRoot", false), "spec.template.containerSecurityContext must have runAsNonRoot: true"},
			{"containers with capabilities", container("capabilities", fields("drop", listOf("NET_RAW"))), "spec.template.containerSecurityContext must have runAsNonRoot: true"},
			{"containers without seccomp", restrictedContainer("seccompProfile", fields("type", "Unconfined")), "spec.template.containerSecurityContext must have runAsNonRoot: true"},
			{"root in containers", restrictedContainer("runAsUser", int64(0)), "must not name user or group 0"},
			{"the group of root in pods", template("securityContext", fields("supplementalGroups", listOf(int64(0)))), "must not name user or group 0"},
			{"kernel parameters", template("securityContext", fields("sysctls", listOf(fields("name", "net.ipv4.ip_forward", "value", "1")))), "must not set sysctls"},
			{"pods without AppArmor", template("securityContext", fields("appArmorProfile", fields("type", "Unconfined"))), "a profile Unconfined"},
		} {
			t.Run(test.name, func(t *testing.T) {
				err := asTenant.Create(t.Context(), unstructuredKSMScale("bounded", test.spec), client.DryRunAll)
				assert.ErrorContains(t, err, test.message)
			})
		}
	})

	t.Run("what gives none is accepted", func(t *testing.T) {
		for name, spec := range map[string]map[string]any{
			"defaults": nil,
			"a digest": fields("monitorImage", "registry.k8s.io/kube-state-metrics/kube-state-metrics@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
			"metrics":  metrics("resources", listOf("pods", "nodes"), "metricLabelsAllowlist", listOf("pods=[*]")),
			"template": template(
				"extraArgs", listOf("--v=4"), "env", listOf(fields("name", "GOGC", "value", "50")), "labels", fields("team", "a"),
				"volumes", listOf(fields("name", "config", "configMap", fields("name", "a"))),
				"volumeMounts", listOf(fields("name", "config", "mountPath", "/etc/config")),
				"securityContext", fields("fsGroup", int64(65534)), "priorityClassName", "monitoring", "nodeSelector", fields("pool", "big")),
			"restricted containers": restrictedContainer(),
		} {
			t.Run(name, func(t *testing.T) {
				assert.NoError(t, asTenant.Create(t.Context(), unstructuredKSMScale("bounded", spec), client.DryRunAll))
			})
		}
		for _, sample := range samples(t) {
			_, err := shared.installed.Kubectl(t.Context(), "create", "--as="+tenant, "--dry-run=server", "-f", sample)
			assert.NoError(t, err, sample)
		}
	})

	t.Run("administrators are not bounded, and what they create can still be labelled and deleted", func(t *testing.T) {
		ksmScale := newKSMScale(func(k *v1alpha1.KSMScale) { k.Spec.Template = &v1alpha1.PodTemplate{HostNetwork: true} })
		require.NoError(t, shared.client.Create(t.Context(), ksmScale))
		t.Cleanup(func() { remove(t, ksmScale) })

		labelled := ksmScale.DeepCopy()
		labelled.Labels = map[string]string{"team": "a"}
		require.NoError(t, asTenant.Patch(t.Context(), labelled, client.MergeFrom(ksmScale)))
		changed := labelled.DeepCopy()
		changed.Spec.NodesPerMonitor = 20
		require.ErrorContains(t, asTenant.Patch(t.Context(), changed, client.MergeFrom(labelled)), "spec.namespace must be one of monitoring")
		require.NoError(t, asTenant.Delete(t.Context(), ksmScale))
	})

	t.Run("without its lists, nothing is allowed", func(t *testing.T) {
		remove(t, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ksmscale-system", Name: boundsName}})
		require.EventuallyWithT(t, func(c *assert.CollectT) {
			require.Error(c, asTenant.Create(t.Context(), unstructuredKSMScale("bounded", nil), client.DryRunAll))
		}, eventually, poll)
	})
}

// boundTenant installs the policy until the test ends, waits until it is in force, and returns a client of the tenant.
func boundTenant(t *testing.T) client.Client {
	t.Helper()
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: boundsName + "-" + tenant},
		Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"ksmscales"},
			Verbs: []string{"get", "list", "watch", "create", "update", "patch", "delete"},
		}, {
			// Some samples have one.
			APIGroups: []string{autoscalingv2.GroupName}, Resources: []string{"horizontalpodautoscalers"}, Verbs: []string{"create"},
		}},
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: tenant}},
	}
	for _, object := range []client.Object{role, binding} {
		require.NoError(t, shared.client.Create(t.Context(), object))
		t.Cleanup(func() { remove(t, object) })
	}
	config := rest.CopyConfig(shared.cluster.Config())
	config.Impersonate.UserName = tenant
	asTenant, err := client.New(config, client.Options{Scheme: shared.client.Scheme()})
	require.NoError(t, err)
	_, err = shared.installed.Kubectl(t.Context(), "apply", "--server-side", "-f", boundsFile)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx := afterwards(t)
		_, err := shared.installed.Kubectl(ctx, "delete", "--ignore-not-found", "-f", boundsFile)
		require.NoError(t, err)
		// The API server notices a moment later.
		require.EventuallyWithT(t, func(c *assert.CollectT) {
			require.NoError(c, asTenant.Create(ctx, unstructuredKSMScale("bounded", template("hostNetwork", true)), client.DryRunAll))
		}, eventually, poll)
	})
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		err := asTenant.Create(t.Context(), unstructuredKSMScale("bounded", template("hostNetwork", true)), client.DryRunAll)
		require.ErrorContains(c, err, "spec.template.hostNetwork must not be set")
		require.NoError(c, asTenant.Create(t.Context(), unstructuredKSMScale("bounded", nil), client.DryRunAll))
	}, eventually, poll)
	return asTenant
}

func env(variables ...any) map[string]any { return template("env", variables) }

// volume is one of a type.
func volume(volumeType string, source map[string]any) map[string]any {
	return template("volumes", listOf(fields("name", "volume", volumeType, source)))
}

func container(namesAndValues ...any) map[string]any {
	return template("containerSecurityContext", fields(namesAndValues...))
}

// restrictedContainer has what the Pod Security Standard "restricted" requires, with the overrides.
func restrictedContainer(namesAndValues ...any) map[string]any {
	securityContext := fields("runAsNonRoot", true, "allowPrivilegeEscalation", false,
		"capabilities", fields("drop", listOf("ALL")), "seccompProfile", fields("type", "RuntimeDefault"))
	maps.Copy(securityContext, fields(namesAndValues...))
	return template("containerSecurityContext", securityContext)
}

func listOf(values ...any) []any { return values }
