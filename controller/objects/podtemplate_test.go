package objects

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
)

// podWith is the desired pod of shard 1, with its metadata, as the API server reads it.
func podWith(t *testing.T, override func(*v1alpha1.KSMScaleSpec)) corev1.PodTemplateSpec {
	t.Helper()
	ksmScale := fixtures.KSMScale(func(k *v1alpha1.KSMScale) { override(&k.Spec) })
	data, err := json.Marshal(Deployment(ksmScale, fixtures.Planned(1), GateOptions{Image: fixtures.GateImage}).Spec.Template)
	require.NoError(t, err)
	var pod corev1.PodTemplateSpec
	require.NoError(t, json.Unmarshal(data, &pod))
	return pod
}

func templated(template v1alpha1.PodTemplate) func(*v1alpha1.KSMScaleSpec) {
	return func(spec *v1alpha1.KSMScaleSpec) { spec.Template = &template }
}

func measured(metrics v1alpha1.MetricsConfig) func(*v1alpha1.KSMScaleSpec) {
	return func(spec *v1alpha1.KSMScaleSpec) { spec.Metrics = metrics }
}

// Each option of kube-state-metrics is a flag, and the gate is told of those that change what it waits for.
func TestMetricsAreFlags(t *testing.T) {
	for _, test := range []struct {
		name    string
		metrics v1alpha1.MetricsConfig
		// flags are those that are added; gate are those of the gate, but for its shard.
		flags, gate []string
	}{
		{
			name:    "resources",
			metrics: v1alpha1.MetricsConfig{Resources: []string{"pods", "nodes"}},
			flags:   []string{"--resources=pods,nodes"}, gate: []string{"--resources=pods,nodes"},
		},
		{
			name:    "allowed metrics",
			metrics: v1alpha1.MetricsConfig{Resources: []string{"pods"}, MetricAllowlist: []string{"^kube_pod_.*$", "kube_node_info"}},
			flags:   []string{"--resources=pods", "--metric-allowlist=^kube_pod_.*$$,kube_node_info"},
			gate:    []string{"--resources=pods", "--metric-allowlist=^kube_pod_.*$$,kube_node_info"},
		},
		{
			name:    "denied and opt-in metrics",
			metrics: v1alpha1.MetricsConfig{Resources: []string{"pods"}, MetricDenylist: []string{"a", "b"}, MetricOptInList: []string{"c", "d"}},
			flags:   []string{"--resources=pods", "--metric-denylist=a,b", "--metric-opt-in-list=c,d"},
			gate:    []string{"--resources=pods", "--metric-denylist=a,b", "--metric-opt-in-list=c,d"},
		},
		{
			name: "labels and annotations",
			metrics: v1alpha1.MetricsConfig{
				Resources: []string{"pods"}, MetricLabelsAllowlist: []string{"pods=[a,b]", "nodes=[*]"}, MetricAnnotationsAllowlist: []string{"pods=[c]"},
			},
			flags: []string{"--resources=pods", "--metric-labels-allowlist=pods=[a,b],nodes=[*]", "--metric-annotations-allowlist=pods=[c]"},
			gate:  []string{"--resources=pods", "--metric-labels-allowlist=pods=[a,b],nodes=[*]", "--metric-annotations-allowlist=pods=[c]"},
		},
		{
			name:    "namespaces",
			metrics: v1alpha1.MetricsConfig{Resources: []string{"pods"}, Namespaces: []string{"a", "b"}},
			flags:   []string{"--resources=pods", "--namespaces=a,b"}, gate: []string{"--resources=pods", "--namespaces=a,b"},
		},
		{
			name:    "denied namespaces",
			metrics: v1alpha1.MetricsConfig{Resources: []string{"pods"}, NamespacesDenylist: []string{"a", "b"}},
			flags:   []string{"--resources=pods", "--namespaces-denylist=a,b"}, gate: []string{"--resources=pods", "--namespaces-denylist=a,b"},
		},
		{
			name:    "the API server's cache",
			metrics: v1alpha1.MetricsConfig{Resources: []string{"pods"}, UseAPIServerCache: true},
			flags:   []string{"--resources=pods", "--use-apiserver-cache"}, gate: []string{"--resources=pods"},
		},
		{
			name:    "a limit",
			metrics: v1alpha1.MetricsConfig{Resources: []string{"pods"}, ObjectLimit: 1000},
			flags:   []string{"--resources=pods", "--object-limit=1000"}, gate: []string{"--resources=pods", "--object-limit=1000"},
		},
		{
			name:    "a filter",
			metrics: v1alpha1.MetricsConfig{Resources: []string{"pods"}, AuthFilter: true},
			flags:   []string{"--resources=pods", "--auth-filter"}, gate: []string{"--resources=pods", "--authenticate"},
		},
		{
			name: "custom resources",
			metrics: v1alpha1.MetricsConfig{
				Resources: []string{"pods"}, CustomResourceState: &v1alpha1.CustomResourceState{Config: "path: [$, $(POD_NAME)]"},
			},
			flags: []string{"--resources=pods", "--custom-resource-state-config=path: [$$, $$(POD_NAME)]"}, gate: []string{"--resources=pods", "--custom-resources"},
		},
		{
			name:    "custom resources only",
			metrics: v1alpha1.MetricsConfig{CustomResourceState: &v1alpha1.CustomResourceState{Config: "a", Only: true}},
			flags:   []string{"--custom-resource-state-config=a", "--custom-resource-state-only"}, gate: []string{"--custom-resources"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			containers := podWith(t, measured(test.metrics)).Spec.Containers
			assert.Equal(t, append([]string{"--port=8080", "--telemetry-port=8081", "--shard=1", "--total-shards=3", "--server-idle-timeout=1s"}, test.flags...), containers[0].Args)
			assert.Equal(t, append(append([]string{"--shard=1", "--total-shards=3"}, test.gate...), "--state-file=/dev/shm/ksmscale-gate.json"), containers[1].Args)
		})
	}
}

// The gate is told of what it has to know also where that is written as a flag.
func TestTheGateKnowsOfExtraArguments(t *testing.T) {
	for arg, gate := range map[string][]string{
		"--metric-opt-in-list=a,b":                                 {"--metric-opt-in-list=a,b"},
		"--custom-resource-state-config=spec: {resources: []}":     {"--custom-resources"},
		"--custom-resource-state-config-file=/etc/custom/a,b.yaml": {"--custom-resources"},
		"--custom-resource-state-config=":                          nil,
		"--v=4":                                                    nil,
	} {
		pod := podWith(t, templated(v1alpha1.PodTemplate{ExtraArgs: []string{"--resources=pods", arg}})).Spec
		assert.Contains(t, pod.Containers[0].Args, arg)
		assert.Equal(t, append(append([]string{"--resources=pods"}, gate...), "--state-file=/dev/shm/ksmscale-gate.json"), pod.Containers[1].Args[2:], arg)
	}
}

// Kubernetes puts no variable into an argument, and takes no character out of one.
func TestArgumentsAreLiteral(t *testing.T) {
	const expression = "a$(SHARD_ID)$$b$"
	spec := podWith(t, func(spec *v1alpha1.KSMScaleSpec) {
		spec.Metrics = v1alpha1.MetricsConfig{MetricDenylist: []string{expression}}
		spec.Template = &v1alpha1.PodTemplate{ExtraArgs: []string{"--metric-opt-in-list=" + expression}}
	}).Spec
	for _, container := range spec.Containers {
		const escaped = "a$$(SHARD_ID)$$$$b$$"
		assert.Subset(t, container.Args, []string{"--metric-denylist=" + escaped, "--metric-opt-in-list=" + escaped}, container.Name)
	}
}

// kube-state-metrics would begin anew in all pods at once if a ConfigMap changed under them.
func TestCustomResourceStateOfAConfigMapDoesNotChange(t *testing.T) {
	pod := podWith(t, measured(v1alpha1.MetricsConfig{
		CustomResourceState: &v1alpha1.CustomResourceState{ConfigMap: v1alpha1.ConfigMapKey{Name: "custom", Key: "config.yaml"}},
	})).Spec
	assert.Contains(t, pod.Containers[0].Args, "--custom-resource-state-config-file=/etc/kube-state-metrics/custom-resource-state.yaml")
	assert.Equal(t, []corev1.VolumeMount{{
		Name: "custom-resource-state", MountPath: "/etc/kube-state-metrics/custom-resource-state.yaml", SubPath: "config.yaml", ReadOnly: true,
	}}, pod.Containers[0].VolumeMounts)
	require.Len(t, pod.Volumes, 1)
	assert.Equal(t, "custom", pod.Volumes[0].ConfigMap.Name)
	assert.Empty(t, pod.Containers[1].VolumeMounts)
}

// kube-state-metrics, its liveness probe and the gate speak TLS together, with files of one volume.
func TestTLS(t *testing.T) {
	pod := podWith(t, measured(v1alpha1.MetricsConfig{Resources: []string{"pods"}, TLS: v1alpha1.TLSConfig{SecretName: "certificate"}}))
	assert.Equal(t, "tls_server_config: {cert_file: tls.crt, key_file: tls.key}", pod.Annotations["ksmscale.example.com/web-config"])
	monitor, gate := pod.Spec.Containers[0], pod.Spec.Containers[1]
	assert.Contains(t, monitor.Args, "--tls-config=/etc/kube-state-metrics/tls/web.yaml")
	assert.Equal(t, corev1.URISchemeHTTPS, monitor.LivenessProbe.HTTPGet.Scheme)
	assert.Empty(t, monitor.ReadinessProbe.HTTPGet.Scheme, "the gate has no certificate")
	assert.Subset(t, gate.Args, []string{
		"--metrics-url=https://localhost:8080/metrics", "--telemetry-url=https://localhost:8081/metrics",
		"--certificate=/etc/kube-state-metrics/tls/tls.crt",
	})
	mounts := []corev1.VolumeMount{{Name: "kube-state-metrics-tls", MountPath: "/etc/kube-state-metrics/tls/", ReadOnly: true}}
	assert.Equal(t, mounts, monitor.VolumeMounts)
	assert.Equal(t, mounts, gate.VolumeMounts)
	require.Len(t, pod.Spec.Volumes, 1)
	sources := pod.Spec.Volumes[0].Projected.Sources
	require.Len(t, sources, 2)
	assert.Equal(t, "certificate", sources[0].Secret.Name)
	assert.Equal(t, []corev1.KeyToPath{{Key: "tls.crt", Path: "tls.crt"}, {Key: "tls.key", Path: "tls.key"}}, sources[0].Secret.Items)
	assert.Equal(t, "web.yaml", sources[1].DownwardAPI.Items[0].Path)
	assert.Equal(t, "metadata.annotations['ksmscale.example.com/web-config']", sources[1].DownwardAPI.Items[0].FieldRef.FieldPath)
}

func TestRightsFollowWhatIsExported(t *testing.T) {
	for name, test := range map[string]struct {
		metrics v1alpha1.MetricsConfig
		roles   []string
	}{
		"by default":            {roles: []string{MonitorClusterRole}},
		"secrets":               {metrics: v1alpha1.MetricsConfig{Resources: []string{"pods", "secrets"}}, roles: []string{MonitorClusterRole, MonitorSecretsClusterRole}},
		"no secrets":            {metrics: v1alpha1.MetricsConfig{Resources: []string{"pods"}}, roles: []string{MonitorClusterRole}},
		"a filter":              {metrics: v1alpha1.MetricsConfig{AuthFilter: true}, roles: []string{MonitorClusterRole, MonitorAuthFilterClusterRole}},
		"custom resources only": {metrics: v1alpha1.MetricsConfig{CustomResourceState: &v1alpha1.CustomResourceState{Only: true}}, roles: []string{MonitorClusterRole}},
	} {
		t.Run(name, func(t *testing.T) {
			var roles []string
			for _, binding := range ClusterRoleBindings(fixtures.KSMScale(func(k *v1alpha1.KSMScale) { k.Spec.Metrics = test.metrics })) {
				roles = append(roles, *binding.RoleRef.Name)
			}
			assert.Equal(t, test.roles, roles)
		})
	}
}

func TestPodsHaveTheMetadataOfTheTemplate(t *testing.T) {
	pod := podWith(t, templated(v1alpha1.PodTemplate{
		Labels:      map[string]v1alpha1.LabelValue{"example.com/team": "a", "shard-id": "7"},
		Annotations: map[string]string{"example.com/owner": "b", v1alpha1.AnnotationShardAssignment: "none"},
	}))
	assert.Equal(t, "a", pod.Labels["example.com/team"])
	assert.Equal(t, "1", pod.Labels["shard-id"], "the shard's own labels stay")
	assert.Equal(t, map[string]string{"example.com/owner": "b", "ksmscale.example.com/shard-assignment": "Shard 1 of 3"}, pod.Annotations)
}

func TestPodsHaveTheSpecOfTheTemplate(t *testing.T) {
	user := int64(1000)
	pod := podWith(t, templated(v1alpha1.PodTemplate{
		ServiceAccountName: "users",
		ImagePullSecrets:   []corev1.LocalObjectReference{{Name: "registry"}},
		Volumes:            []corev1.Volume{{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
		SecurityContext:    &corev1.PodSecurityContext{FSGroup: &user},
		PriorityClassName:  "system-cluster-critical",
		HostNetwork:        true,
		DNSPolicy:          corev1.DNSClusterFirstWithHostNet,
		DNSConfig:          &corev1.PodDNSConfig{Nameservers: []string{"10.0.0.1"}},
	})).Spec
	assert.Equal(t, "users", pod.ServiceAccountName)
	assert.Equal(t, []corev1.LocalObjectReference{{Name: "registry"}}, pod.ImagePullSecrets)
	require.Len(t, pod.Volumes, 1)
	assert.NotNil(t, pod.Volumes[0].EmptyDir)
	assert.EqualValues(t, 1000, *pod.SecurityContext.FSGroup)
	assert.Equal(t, "system-cluster-critical", pod.PriorityClassName)
	assert.True(t, pod.HostNetwork)
	assert.Equal(t, corev1.DNSClusterFirstWithHostNet, pod.DNSPolicy)
	assert.Equal(t, []string{"10.0.0.1"}, pod.DNSConfig.Nameservers)
}

func TestContainersHaveWhatIsInTheTemplate(t *testing.T) {
	containers := podWith(t, templated(v1alpha1.PodTemplate{
		ImagePullPolicy:          corev1.PullAlways,
		Env:                      []corev1.EnvVar{{Name: "KUBERNETES_SERVICE_HOST", Value: "api.example.com"}},
		VolumeMounts:             []corev1.VolumeMount{{Name: "scratch", MountPath: "/scratch"}},
		ContainerSecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: new(false)},
	})).Spec.Containers
	require.Len(t, containers, 2)
	for _, container := range containers {
		assert.Equal(t, corev1.PullAlways, container.ImagePullPolicy, container.Name)
		assert.Contains(t, container.Env, corev1.EnvVar{Name: "KUBERNETES_SERVICE_HOST", Value: "api.example.com"}, container.Name)
		assert.Equal(t, &corev1.SecurityContext{AllowPrivilegeEscalation: new(false)}, container.SecurityContext, "%s: the default is replaced as a whole", container.Name)
	}
	assert.Equal(t, "SHARD_ID", containers[0].Env[0].Name)
	assert.Len(t, containers[0].VolumeMounts, 1)
	assert.Empty(t, containers[1].VolumeMounts, "the gate needs none")
}

func TestPodsRunOnLinux(t *testing.T) {
	for _, test := range []struct {
		name           string
		users, desired map[string]string
	}{
		{"by default", nil, map[string]string{"kubernetes.io/os": "linux"}},
		{"with other labels", map[string]string{"disk": "ssd"}, map[string]string{"kubernetes.io/os": "linux", "disk": "ssd"}},
		{"unless the user says otherwise", map[string]string{"kubernetes.io/os": "windows"}, map[string]string{"kubernetes.io/os": "windows"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			users := map[string]v1alpha1.LabelValue{}
			for key, value := range test.users {
				users[key] = v1alpha1.LabelValue(value)
			}
			assert.Equal(t, test.desired, podWith(t, templated(v1alpha1.PodTemplate{NodeSelector: users})).Spec.NodeSelector)
		})
	}
	assert.Equal(t, map[string]string{"kubernetes.io/os": "linux"}, podWith(t, func(*v1alpha1.KSMScaleSpec) {}).Spec.NodeSelector)
}

func TestResourcesOfTheGate(t *testing.T) {
	byDefault := podWith(t, templated(v1alpha1.PodTemplate{Gate: &v1alpha1.GateConfig{}})).Spec.Containers[1].Resources
	assert.Equal(t, "10m 64Mi", byDefault.Requests.Cpu().String()+" "+byDefault.Requests.Memory().String())
	assert.Empty(t, byDefault.Limits)

	limits := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("32Mi")}
	override := templated(v1alpha1.PodTemplate{Gate: &v1alpha1.GateConfig{Resources: &corev1.ResourceRequirements{Limits: limits}}})
	assert.Equal(t, corev1.ResourceRequirements{Limits: limits}, podWith(t, override).Spec.Containers[1].Resources, "the default requests may be above these limits")
	assert.Empty(t, podWith(t, override).Spec.Containers[0].Resources)

	cpu, memory := PodRequests(fixtures.KSMScale(func(k *v1alpha1.KSMScale) { override(&k.Spec) }))
	assert.EqualValues(t, 100, cpu)
	assert.EqualValues(t, 32<<20, memory)
}

func TestGoMemoryLimit(t *testing.T) {
	pod := podWith(t, func(spec *v1alpha1.KSMScaleSpec) {
		spec.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1000M")}
		spec.Template = &v1alpha1.PodTemplate{GoMemoryLimitPercent: 90}
	}).Spec
	assert.Contains(t, pod.Containers[0].Env, corev1.EnvVar{Name: "GOMEMLIMIT", Value: "900000000"})
	assert.Empty(t, pod.Containers[1].Env, "the gate has no limit")
}

func TestAffinityIsAddedToThatOfTheShard(t *testing.T) {
	affinityTerm := corev1.PodAffinityTerm{TopologyKey: "rack", LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"noisy": "true"}}}
	pool := &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{
		{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "pool", Operator: corev1.NodeSelectorOpIn, Values: []string{"monitoring"}}}},
	}}}
	t.Run("of nodes", func(t *testing.T) {
		affinity := podWith(t, templated(v1alpha1.PodTemplate{Affinity: &corev1.Affinity{NodeAffinity: pool}})).Spec.Affinity
		assert.Equal(t, pool, affinity.NodeAffinity)
		assert.Len(t, affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution, 1)
	})
	t.Run("of pods", func(t *testing.T) {
		affinity := podWith(t, templated(v1alpha1.PodTemplate{Affinity: &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution:  []corev1.PodAffinityTerm{affinityTerm},
			PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{Weight: 7, PodAffinityTerm: affinityTerm}},
		}}})).Spec.Affinity.PodAntiAffinity
		assert.Equal(t, []corev1.PodAffinityTerm{affinityTerm}, affinity.RequiredDuringSchedulingIgnoredDuringExecution)
		preferred := affinity.PreferredDuringSchedulingIgnoredDuringExecution
		require.Len(t, preferred, 2)
		assert.Equal(t, wholeSelector, preferred[0].PodAffinityTerm.LabelSelector.MatchLabels)
		assert.EqualValues(t, 7, preferred[1].Weight)
	})
}

// A KSMScale that uses none of the options has the pods that it had before there were any: an upgrade must not roll
// out shards for nothing.
func TestPodsWithoutOptions(t *testing.T) {
	pod := podWith(t, templated(v1alpha1.PodTemplate{ExtraArgs: []string{"--namespaces=a", "--v=4"}}))
	assert.Equal(t, []string{"ksmscale.example.com/shard-assignment"}, keys(pod.Annotations))
	assert.Len(t, pod.Labels, 7)
	assert.Equal(t, []string{
		"--port=8080", "--telemetry-port=8081", "--shard=1", "--total-shards=3", "--server-idle-timeout=1s",
		"--resources=" + strings.Join(defaultResources, ","), "--namespaces=a", "--v=4",
	}, pod.Spec.Containers[0].Args)
	assert.Equal(t, []string{"--shard=1", "--total-shards=3", "--resources=" + strings.Join(defaultResources, ","), "--namespaces=a", "--state-file=/dev/shm/ksmscale-gate.json"}, pod.Spec.Containers[1].Args)
	data, err := json.Marshal(pod.Spec)
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(data, &fields))
	assert.ElementsMatch(t, []string{"serviceAccountName", "nodeSelector", "topologySpreadConstraints", "affinity", "terminationGracePeriodSeconds", "containers"}, keys(fields))
	for _, container := range pod.Spec.Containers {
		assert.Empty(t, container.VolumeMounts)
		assert.Empty(t, container.ImagePullPolicy)
	}
}

func keys[V any](values map[string]V) []string {
	var keys []string
	for key := range values {
		keys = append(keys, key)
	}
	return keys
}
