package objects

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
	"github.com/example/ksmscale/scaling"
)

var wholeSelector = map[string]string{"ksmscale.example.com": "main", "shard-id": "1", "total-shards": "3"}

func TestObjectsOfAShardAgree(t *testing.T) {
	ksmScale, shard := fixtures.KSMScale(), fixtures.Shard(1)
	wantedLabels := map[string]string{
		"app.kubernetes.io/name": "kube-state-metrics", "app.kubernetes.io/instance": "main", "app.kubernetes.io/component": "exporter",
		"ksmscale.example.com": "main", "shard-id": "1", "total-shards": "3", "sharding-enabled": "true",
	}
	for _, object := range []any{
		Deployment(ksmScale, scaling.Shard{Shard: shard}, GateOptions{Image: fixtures.GateImage}), Service(ksmScale, shard), Autoscaler(ksmScale, shard, true), DisruptionBudget(ksmScale, shard),
	} {
		data, err := json.Marshal(object)
		require.NoError(t, err)
		var meta metav1.PartialObjectMetadata
		require.NoError(t, json.Unmarshal(data, &meta))
		assert.Equal(t, "ksm-main-shard-1-of-3", meta.Name, meta.Kind)
		assert.Equal(t, "monitoring", meta.Namespace, meta.Kind)
		assert.Equal(t, wantedLabels, meta.Labels, meta.Kind)
		require.Len(t, meta.OwnerReferences, 1, meta.Kind)
		assert.True(t, metav1.IsControlledBy(&meta, ksmScale), meta.Kind)
		assert.Nil(t, meta.OwnerReferences[0].BlockOwnerDeletion, meta.Kind)
	}
}

func TestDeployment(t *testing.T) {
	desired := Deployment(fixtures.KSMScale(), fixtures.Planned(1), GateOptions{Image: fixtures.GateImage})
	assert.Nil(t, desired.Spec.Replicas, "the HorizontalPodAutoscaler owns the replicas")
	assert.Equal(t, wholeSelector, desired.Spec.Selector.MatchLabels)
	assert.Equal(t, 0, desired.Spec.Strategy.RollingUpdate.MaxUnavailable.IntValue())
	for key, value := range wholeSelector {
		assert.Equal(t, value, desired.Spec.Template.Labels[key])
	}
	assert.Equal(t, "Shard 1 of 3", desired.Spec.Template.Annotations["ksmscale.example.com/shard-assignment"])

	pod := desired.Spec.Template.Spec
	assert.Equal(t, "ksm-main", *pod.ServiceAccountName)
	require.Len(t, pod.TopologySpreadConstraints, 2)
	for i, key := range []string{"kubernetes.io/hostname", "topology.kubernetes.io/zone"} {
		constraint := pod.TopologySpreadConstraints[i]
		assert.Equal(t, key, *constraint.TopologyKey)
		assert.Equal(t, corev1.NodeInclusionPolicyHonor, *constraint.NodeTaintsPolicy)
		assert.Equal(t, []string{"pod-template-hash"}, constraint.MatchLabelKeys)
		assert.Equal(t, wholeSelector, constraint.LabelSelector.MatchLabels)
	}
	assert.Equal(t, corev1.NodeInclusionPolicyHonor, *pod.TopologySpreadConstraints[1].NodeAffinityPolicy)
	assert.Equal(t, corev1.DoNotSchedule, *pod.TopologySpreadConstraints[0].WhenUnsatisfiable)
	assert.Equal(t, corev1.ScheduleAnyway, *pod.TopologySpreadConstraints[1].WhenUnsatisfiable)
	preferred := pod.Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution
	require.Len(t, preferred, 1)
	assert.Equal(t, wholeSelector, preferred[0].PodAffinityTerm.LabelSelector.MatchLabels)
}

func TestSpreadAcrossZones(t *testing.T) {
	acrossZones := fixtures.Planned(1)
	acrossZones.AcrossZones = true
	constraints := Deployment(fixtures.KSMScale(), acrossZones, GateOptions{Image: fixtures.GateImage}).Spec.Template.Spec.TopologySpreadConstraints
	require.Len(t, constraints, 2)
	assert.Equal(t, "kubernetes.io/hostname", *constraints[0].TopologyKey)
	assert.Equal(t, corev1.ScheduleAnyway, *constraints[0].WhenUnsatisfiable, "a zone with few nodes may need two on one")
	assert.Equal(t, "topology.kubernetes.io/zone", *constraints[1].TopologyKey)
	assert.Equal(t, corev1.DoNotSchedule, *constraints[1].WhenUnsatisfiable)
	assert.EqualValues(t, 1, *constraints[1].MaxSkew)
	assert.Equal(t, corev1.NodeInclusionPolicyHonor, *constraints[1].NodeAffinityPolicy)
	assert.Equal(t, corev1.NodeInclusionPolicyHonor, *constraints[1].NodeTaintsPolicy)
	assert.Equal(t, []string{"pod-template-hash"}, constraints[1].MatchLabelKeys)
}

func TestContainer(t *testing.T) {
	desired := Deployment(fixtures.KSMScale(), fixtures.Planned(1), GateOptions{Image: fixtures.GateImage}).Spec.Template.Spec.Containers[0]
	assert.Equal(t, fixtures.Image, *desired.Image)
	assert.Equal(t, []string{"--port=8080", "--telemetry-port=8081", "--shard=1", "--total-shards=3"}, desired.Args[:4])
	assert.Equal(t, "http-metrics", *desired.Ports[0].Name)
	assert.EqualValues(t, 8080, *desired.Ports[0].ContainerPort)
	assert.Equal(t, "telemetry", *desired.Ports[1].Name)
	assert.EqualValues(t, 8081, *desired.Ports[1].ContainerPort)
	assert.Equal(t, "/healthz", *desired.LivenessProbe.HTTPGet.Path)
	assert.Equal(t, "http-metrics", desired.LivenessProbe.HTTPGet.Port.String())
	assert.EqualValues(t, 12, *desired.LivenessProbe.FailureThreshold, "one that is throttled while it loads is not restarted")
	assert.Equal(t, "/readyz", *desired.ReadinessProbe.HTTPGet.Path)
	assert.Equal(t, "8082", desired.ReadinessProbe.HTTPGet.Port.String(), "the gate's port")
	assert.EqualValues(t, 15, *desired.Lifecycle.PreStop.Sleep.Seconds)
	assert.Equal(t, "SHARD_ID", *desired.Env[0].Name)
	assert.Equal(t, "1", *desired.Env[0].Value)
	assert.Equal(t, "POD_NAME", *desired.Env[1].Name)

	assertRestricted(t, desired.SecurityContext)
}

func assertRestricted(t *testing.T, security *corev1ac.SecurityContextApplyConfiguration) {
	t.Helper()
	assert.EqualValues(t, 65534, *security.RunAsUser)
	assert.True(t, *security.RunAsNonRoot)
	assert.True(t, *security.ReadOnlyRootFilesystem)
	assert.False(t, *security.AllowPrivilegeEscalation)
	assert.Equal(t, []corev1.Capability{"ALL"}, security.Capabilities.Drop)
	assert.Equal(t, corev1.SeccompProfileTypeRuntimeDefault, *security.SeccompProfile.Type)
}

func TestGate(t *testing.T) {
	ksmScale := fixtures.KSMScale(func(k *v1alpha1.KSMScale) {
		k.Spec.Template = &v1alpha1.PodTemplate{ExtraArgs: []string{
			"--resources=pods", "--resources=nodes,secrets", "--namespaces=a,b", "--namespaces-denylist=c", "--v=4",
		}}
	})
	desired := Deployment(ksmScale, fixtures.Planned(1), GateOptions{Image: fixtures.GateImage}).Spec.Template.Spec.Containers[1]
	assert.Equal(t, "gate", *desired.Name)
	assert.Equal(t, fixtures.GateImage, *desired.Image)
	assert.Equal(t, []string{"/gate"}, desired.Command)
	assert.Equal(t, []string{
		"--shard=1", "--total-shards=3", "--resources=pods,nodes,secrets", "--namespaces=a,b", "--namespaces-denylist=c", "--state-file=/dev/shm/ksmscale-gate.json",
	}, desired.Args, "what kube-state-metrics is told to export")
	assert.EqualValues(t, 8082, *desired.Ports[0].ContainerPort)
	assert.EqualValues(t, 15, *desired.Lifecycle.PreStop.Sleep.Seconds, "as long as kube-state-metrics")
	assertRestricted(t, desired.SecurityContext)
}

func TestPodsAreReplacedAfterAScrapeInterval(t *testing.T) {
	ksmScale := fixtures.KSMScale(func(k *v1alpha1.KSMScale) { k.Spec.Monitoring.Interval.Duration = time.Minute })
	spec := Deployment(ksmScale, fixtures.Planned(1), GateOptions{Image: fixtures.GateImage}).Spec
	assert.EqualValues(t, 60, *spec.MinReadySeconds)
	assert.EqualValues(t, 30, *Deployment(fixtures.KSMScale(), fixtures.Planned(1), GateOptions{Image: fixtures.GateImage}).Spec.MinReadySeconds, "by default")
	assert.Equal(t, 1, spec.Strategy.RollingUpdate.MaxSurge.IntValue())
	assert.Greater(t, *spec.Template.Spec.TerminationGracePeriodSeconds, int64(15))
}

func TestTemplateIsAdded(t *testing.T) {
	toleration := v1alpha1.Toleration{Key: "dedicated", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}
	ksmScale := fixtures.KSMScale(func(k *v1alpha1.KSMScale) {
		k.Spec.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}
		k.Spec.Template = &v1alpha1.PodTemplate{
			ExtraArgs: []string{"--v=4"}, NodeSelector: map[string]v1alpha1.LabelValue{"disk": "ssd"}, Tolerations: []v1alpha1.Toleration{toleration},
		}
	})
	pod := Deployment(ksmScale, fixtures.Planned(0), GateOptions{Image: fixtures.GateImage}).Spec.Template.Spec
	assert.Equal(t, "--v=4", pod.Containers[0].Args[len(pod.Containers[0].Args)-1])
	assert.Equal(t, "1Gi", new((*pod.Containers[0].Resources.Limits)[corev1.ResourceMemory]).String())
	assert.Equal(t, map[string]string{"kubernetes.io/os": "linux", "disk": "ssd"}, pod.NodeSelector)
	require.Len(t, pod.Tolerations, 1)
	assert.Equal(t, "dedicated", *pod.Tolerations[0].Key)
	assert.Nil(t, pod.Tolerations[0].Value, "what is empty is left out")
}

func TestUnsharded(t *testing.T) {
	ksmScale := fixtures.KSMScale(func(k *v1alpha1.KSMScale) { k.Spec.Sharding = nil })
	desired := Deployment(ksmScale, scaling.Shard{Shard: v1alpha1.Shard{KSMScale: "main", ID: 0, Total: 1}}, GateOptions{Image: fixtures.GateImage})
	assert.Equal(t, "ksm-main-shard-0-of-1", *desired.Name)
	assert.Equal(t, "false", desired.Labels["sharding-enabled"])
	assert.Contains(t, desired.Spec.Template.Spec.Containers[0].Args, "--total-shards=1")
}

func TestSecretsAreReadOnlyIfExported(t *testing.T) {
	for _, test := range []struct {
		name      string
		extraArgs []string
		secrets   bool
		resources string
	}{
		{name: "by default not"},
		{name: "with other flags not", extraArgs: []string{"--v=4"}},
		{name: "with other resources not", extraArgs: []string{"--resources=pods,nodes"}, resources: "--resources=pods,nodes"},
		{name: "with spaces, which kube-state-metrics ignores", extraArgs: []string{"--resources=pods, secrets"}, secrets: true, resources: "--resources=pods, secrets"},
		{name: "named", extraArgs: []string{"--resources=pods,secrets"}, secrets: true, resources: "--resources=pods,secrets"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ksmScale := fixtures.KSMScale(func(k *v1alpha1.KSMScale) { k.Spec.Template = &v1alpha1.PodTemplate{ExtraArgs: test.extraArgs} })
			var roles []string
			for _, binding := range ClusterRoleBindings(ksmScale) {
				roles = append(roles, *binding.RoleRef.Name)
				assert.Equal(t, "ksm-main", *binding.Subjects[0].Name)
			}
			desired := []string{MonitorClusterRole}
			if test.secrets {
				desired = append(desired, MonitorSecretsClusterRole)
			}
			assert.Equal(t, desired, roles)
			var resources []string
			for _, arg := range monitorFlags(ksmScale, fixtures.Shard(0)) {
				if len(arg) > 12 && arg[:12] == "--resources=" {
					resources = append(resources, arg)
				}
			}
			require.Len(t, resources, 1)
			if test.resources != "" {
				assert.Equal(t, test.resources, resources[0])
				return
			}
			assert.NotContains(t, resources[0], "secrets")
			assert.Contains(t, resources[0], "pods")
		})
	}
}

func TestService(t *testing.T) {
	desired := Service(fixtures.KSMScale(), fixtures.Shard(1))
	assert.Equal(t, wholeSelector, desired.Spec.Selector)
	require.Len(t, desired.Spec.Ports, 1)
	assert.Equal(t, "http-metrics", *desired.Spec.Ports[0].Name)
	assert.EqualValues(t, 8080, *desired.Spec.Ports[0].Port)
	assert.Equal(t, "http-metrics", desired.Spec.Ports[0].TargetPort.String())
}

func TestRetiredServiceLeadsToItsPodsStill(t *testing.T) {
	desired, scraped := As[corev1.Service](RetiredService(fixtures.KSMScale(), fixtures.Shard(1))), As[corev1.Service](Service(fixtures.KSMScale(), fixtures.Shard(1)))
	assert.Equal(t, scraped.Spec, desired.Spec)
	assert.Equal(t, scraped.Name, desired.Name)
	assert.Equal(t, "true", desired.Labels[v1alpha1.LabelRetired])
	assert.NotContains(t, scraped.Labels, v1alpha1.LabelRetired)
}

// A version that does not know the flag would not start.
func TestConnectionsAreNotKept(t *testing.T) {
	const digest = "@sha256:0123456789012345678901234567890123456789012345678901234567890123"
	for _, test := range []struct {
		image string
		args  []string
	}{
		{"registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.20.0", []string{"--server-idle-timeout=1s"}},
		{"registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.13.0" + digest, []string{"--server-idle-timeout=1s"}},
		{"localhost:5000/kube-state-metrics:2.18.0-debian-12-r3", []string{"--server-idle-timeout=1s"}},
		{"registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.12.0", nil},
		{"registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.10.1", nil},
		{"localhost:5000/kube-state-metrics", nil},
		{"kube-state-metrics:latest", nil},
		{"kube-state-metrics:2026.11.1", nil},
		{"kube-state-metrics:20261101", nil},
		{"kube-state-metrics:24.11.1", nil},
		{"kube-state-metrics:5.27.0", nil},
		{"kube-state-metrics" + digest, nil},
		{"No/Image", nil},
	} {
		t.Run(test.image, func(t *testing.T) { assert.Equal(t, test.args, connectionArgs(test.image, 30*time.Second)) })
	}
}

// A connection that is kept for a second is never idle for so long if Prometheus scrapes every second.
func TestConnectionsAreClosedBeforeTheNextScrape(t *testing.T) {
	desired := monitorFlags(fixtures.KSMScale(func(k *v1alpha1.KSMScale) { k.Spec.Monitoring.Interval.Duration = 2 * time.Second }), fixtures.Shard(1))
	assert.Contains(t, desired, "--server-idle-timeout=200ms")
}

func TestAutoscaler(t *testing.T) {
	desired := Autoscaler(fixtures.KSMScale(), fixtures.Shard(1), true)
	assert.Equal(t, "ksm-main-shard-1-of-3", *desired.Spec.ScaleTargetRef.Name)
	assert.EqualValues(t, 1, *desired.Spec.MinReplicas)
	assert.EqualValues(t, math.MaxInt32, *desired.Spec.MaxReplicas)
	require.Len(t, desired.Spec.Metrics, 1)
	metric := desired.Spec.Metrics[0].External
	assert.Equal(t, "ksmscale_desired_replicas", *metric.Metric.Name)
	assert.Equal(t, map[string]string{"ksmscale": "main", "shard": "1", "total_shards": "3"}, metric.Metric.Selector.MatchLabels)
	assert.Equal(t, "1", metric.Target.AverageValue.String())
	assert.Nil(t, metric.Target.Value)
	for _, rules := range []*resource.Quantity{desired.Spec.Behavior.ScaleUp.Tolerance, desired.Spec.Behavior.ScaleDown.Tolerance} {
		assert.True(t, rules.IsZero())
	}
	assert.Nil(t, desired.Spec.Behavior.ScaleUp.Policies, "the default rate is kept")
}

func TestAutoscalerTakesBoundsAndBehavior(t *testing.T) {
	desired := Autoscaler(fixtures.KSMScale(func(k *v1alpha1.KSMScale) {
		k.Spec.Sharding.MinReplicasPerShard, k.Spec.Sharding.MaxReplicasPerShard = 2, 5
		k.Spec.Autoscaling = &v1alpha1.AutoscalingConfig{Behavior: &v1alpha1.ScalingBehavior{
			ScaleUp: &v1alpha1.ScalingRules{Tolerance: new(resource.MustParse("0.05")), SelectPolicy: "Min",
				Policies: []v1alpha1.ScalingPolicy{{Type: "Pods", Value: 4, PeriodSeconds: 15}}},
			ScaleDown: &v1alpha1.ScalingRules{StabilizationWindowSeconds: new(int32(0))},
		}}
	}), fixtures.Shard(0), true).Spec
	assert.EqualValues(t, 2, *desired.MinReplicas)
	assert.EqualValues(t, 5, *desired.MaxReplicas)
	assert.Equal(t, "50m", desired.Behavior.ScaleUp.Tolerance.String())
	assert.EqualValues(t, "Min", *desired.Behavior.ScaleUp.SelectPolicy)
	assert.EqualValues(t, 4, *desired.Behavior.ScaleUp.Policies[0].Value)
	assert.EqualValues(t, 0, *desired.Behavior.ScaleDown.StabilizationWindowSeconds)
	assert.True(t, desired.Behavior.ScaleDown.Tolerance.IsZero())
}

func TestDisruptionBudget(t *testing.T) {
	desired := DisruptionBudget(fixtures.KSMScale(), fixtures.Shard(1))
	assert.Equal(t, wholeSelector, desired.Spec.Selector.MatchLabels)
	assert.Equal(t, 1, desired.Spec.MaxUnavailable.IntValue())
	assert.EqualValues(t, "AlwaysAllow", *desired.Spec.UnhealthyPodEvictionPolicy)
}
