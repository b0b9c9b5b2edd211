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

// podLabels returns the labels of a pod. A label of the template never replaces a label of the shard.
func podLabels(ksmScale *v1alpha1.KSMScale, shard v1alpha1.Shard) map[string]string {
	labels := map[string]string{}
	if ksmScale.Spec.Template != nil {
		labels = asStrings(ksmScale.Spec.Template.Labels)
	}
	maps.Copy(labels, ShardLabels(ksmScale, shard))
	return labels
}

// podAnnotations returns the annotations of a pod.
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

// addCustomResourceState mounts one key of a ConfigMap as a file, which stays the same while the pod runs. If the file changed,
// kube-state-metrics would restart in all pods at once and lose its metrics.
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

// addIdentity adds the pull secrets and the security context.
func addIdentity(template *v1alpha1.PodTemplate, spec *corev1ac.PodSpecApplyConfiguration) {
	for _, secret := range template.ImagePullSecrets {
		spec.WithImagePullSecrets(corev1ac.LocalObjectReference().WithName(secret.Name))
	}
	if template.SecurityContext != nil {
		spec.WithSecurityContext(As[corev1ac.PodSecurityContextApplyConfiguration](template.SecurityContext))
	}
}

// addPlacement adds the fields that choose nodes.
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

// withAffinity adds the anti-affinity of the pods of a shard to the affinity of the user.
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

// addNetwork adds the host network and DNS.
func addNetwork(template *v1alpha1.PodTemplate, spec *corev1ac.PodSpecApplyConfiguration) {
	if template.HostNetwork {
		// The API server copies the ports to the node, so the scheduler keeps two such pods on different nodes.
		spec.WithHostNetwork(true)
	}
	if template.DNSPolicy != "" {
		spec.WithDNSPolicy(template.DNSPolicy)
	}
	if template.DNSConfig != nil {
		spec.WithDNSConfig(As[corev1ac.PodDNSConfigApplyConfiguration](template.DNSConfig))
	}
}

// addStorage adds volumes, and mounts them in kube-state-metrics.
func addStorage(template *v1alpha1.PodTemplate, spec *corev1ac.PodSpecApplyConfiguration, container *corev1ac.ContainerApplyConfiguration) {
	for _, volume := range template.Volumes {
		spec.WithVolumes(As[corev1ac.VolumeApplyConfiguration](volume))
	}
	for _, mount := range template.VolumeMounts {
		container.WithVolumeMounts(As[corev1ac.VolumeMountApplyConfiguration](mount))
	}
}

// addToContainer adds the fields that both containers have.
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

// goMemoryLimit is the variable of the Go runtime.
const goMemoryLimit = "GOMEMLIMIT"

// addMemoryLimit sets the memory limit of the Go runtime. Every version of kube-state-metrics honors this variable. Only newer versions have
// the flag --auto-gomemlimit.
func addMemoryLimit(ksmScale *v1alpha1.KSMScale, container *corev1ac.ContainerApplyConfiguration) {
	part := int64(ksmScale.Spec.Template.GoMemoryLimitPercent)
	limits := MonitorResources(ksmScale).Limits
	limit := limits.Memory()
	if part == 0 || limit.IsZero() {
		return
	}
	bytes := limit.Value() / percent * part
	container.WithEnv(corev1ac.EnvVar().WithName(goMemoryLimit).WithValue(strconv.FormatInt(bytes, 10)))
}
