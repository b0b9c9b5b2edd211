package objects

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

const (
	customResourceStateVolume = "custom-resource-state"
	customResourceStateFile   = "/etc/kube-state-metrics/custom-resource-state.yaml"

	percent = 100
)

// podLabels are those of the shard, which no others replace.
func podLabels(ksmScale *v1alpha1.KSMScale, shard v1alpha1.Shard) map[string]string {
	labels := map[string]string{}
	if ksmScale.Spec.Template != nil {
		for key, value := range ksmScale.Spec.Template.Labels {
			labels[key] = string(value)
		}
	}
	maps.Copy(labels, ShardLabels(ksmScale, shard))
	return labels
}

func podAnnotations(ksmScale *v1alpha1.KSMScale, shard v1alpha1.Shard) map[string]string {
	annotations := map[string]string{}
	if ksmScale.Spec.Template != nil {
		maps.Copy(annotations, ksmScale.Spec.Template.Annotations)
	}
	annotations[v1alpha1.AnnotationShardAssignment] = fmt.Sprintf("Shard %d of %d", shard.ID, shard.Total)
	if ksmScale.Spec.Metrics.TLS.SecretName != "" {
		annotations[v1alpha1.AnnotationWebConfig] = webConfig
	}
	return annotations
}

// addCustomResourceState mounts a ConfigMap by a path in it, so that it stays as it is while the pod runs:
// kube-state-metrics begins anew when it sees the file change, in all pods at once, and forgets what it has.
func addCustomResourceState(metrics *v1alpha1.MetricsConfig, spec *corev1ac.PodSpecApplyConfiguration, container *corev1ac.ContainerApplyConfiguration) {
	state := metrics.CustomResourceState
	if state == nil || state.ConfigMap.Name == "" {
		return
	}
	spec.WithVolumes(corev1ac.Volume().WithName(customResourceStateVolume).
		WithConfigMap(corev1ac.ConfigMapVolumeSource().WithName(state.ConfigMap.Name)))
	container.WithVolumeMounts(corev1ac.VolumeMount().WithName(customResourceStateVolume).
		WithMountPath(customResourceStateFile).WithSubPath(state.ConfigMap.Key).WithReadOnly(true))
}

func addIdentity(template *v1alpha1.PodTemplate, spec *corev1ac.PodSpecApplyConfiguration) {
	if template.ServiceAccountName != "" {
		spec.WithServiceAccountName(template.ServiceAccountName)
	}
	for _, secret := range template.ImagePullSecrets {
		spec.WithImagePullSecrets(corev1ac.LocalObjectReference().WithName(secret.Name))
	}
	if template.SecurityContext != nil {
		spec.WithSecurityContext(As[corev1ac.PodSecurityContextApplyConfiguration](template.SecurityContext))
	}
}

func addPlacement(ksmScale *v1alpha1.KSMScale, spec *corev1ac.PodSpecApplyConfiguration) {
	template := ksmScale.Spec.Template
	for _, toleration := range ksmScale.Spec.Tolerations() {
		spec.WithTolerations(As[corev1ac.TolerationApplyConfiguration](toleration))
	}
	if template.Affinity != nil {
		spec.WithAffinity(withAffinity(spec.Affinity, template.Affinity))
	}
	if template.PriorityClassName != "" {
		spec.WithPriorityClassName(template.PriorityClassName)
	}
}

// withAffinity is the user's affinity, and the anti-affinity of a shard's own pods as well.
func withAffinity(own *corev1ac.AffinityApplyConfiguration, users *corev1.Affinity) *corev1ac.AffinityApplyConfiguration {
	both := As[corev1ac.AffinityApplyConfiguration](users)
	if both.PodAntiAffinity == nil {
		both.WithPodAntiAffinity(corev1ac.PodAntiAffinity())
	}
	both.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution = slices.Concat(
		own.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution,
		both.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
	return both
}

func addNetwork(template *v1alpha1.PodTemplate, spec *corev1ac.PodSpecApplyConfiguration) {
	if template.HostNetwork {
		// The API server makes the containers' ports those of the node, so that the scheduler keeps pods apart.
		spec.WithHostNetwork(true)
	}
	if template.DNSPolicy != "" {
		spec.WithDNSPolicy(template.DNSPolicy)
	}
	if template.DNSConfig != nil {
		spec.WithDNSConfig(As[corev1ac.PodDNSConfigApplyConfiguration](template.DNSConfig))
	}
}

func addStorage(template *v1alpha1.PodTemplate, spec *corev1ac.PodSpecApplyConfiguration, container *corev1ac.ContainerApplyConfiguration) {
	for _, volume := range template.Volumes {
		spec.WithVolumes(As[corev1ac.VolumeApplyConfiguration](volume))
	}
	for _, mount := range template.VolumeMounts {
		container.WithVolumeMounts(As[corev1ac.VolumeMountApplyConfiguration](mount))
	}
}

// addToContainer adds what both containers have.
func addToContainer(template *v1alpha1.PodTemplate, container *corev1ac.ContainerApplyConfiguration) {
	if template.ImagePullPolicy != "" {
		container.WithImagePullPolicy(template.ImagePullPolicy)
	}
	for _, variable := range template.Env {
		container.WithEnv(As[corev1ac.EnvVarApplyConfiguration](variable))
	}
	if template.ContainerSecurityContext != nil {
		container.WithSecurityContext(As[corev1ac.SecurityContextApplyConfiguration](template.ContainerSecurityContext))
	}
}

// addMemoryLimit sets the limit of Go's runtime, which every version of kube-state-metrics knows, unlike the flag
// --auto-gomemlimit.
func addMemoryLimit(spec *v1alpha1.KSMScaleSpec, container *corev1ac.ContainerApplyConfiguration) {
	part := int64(spec.Template.GoMemoryLimitPercent)
	limit := spec.Resources.Limits.Memory()
	if part == 0 || limit.IsZero() {
		return
	}
	bytes := limit.Value() / percent * part
	container.WithEnv(corev1ac.EnvVar().WithName("GOMEMLIMIT").WithValue(strconv.FormatInt(bytes, 10)))
}
