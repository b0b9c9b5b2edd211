package v1alpha1

import corev1 "k8s.io/api/core/v1"

// PodTemplate is added to the pods of each shard.
//
// +kubebuilder:validation:XValidation:rule="!has(self.goMemoryLimitPercent) || !has(self.env) || self.env.all(variable, variable.name != 'GOMEMLIMIT')",message="spec.template.env must not set GOMEMLIMIT, because spec.template.goMemoryLimitPercent sets it: remove one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.dnsPolicy) || self.dnsPolicy != 'None' || has(self.dnsConfig)",message="spec.template.dnsPolicy must not be None without spec.template.dnsConfig, which has the name servers: set dnsConfig, or another policy"
type PodTemplate struct {
	// extraArgs are more flags of kube-state-metrics, each written as --flag or --flag=value. The API server refuses
	// flags that set shards, addresses or credentials, because sharding and probes rely on them. It also refuses flags
	// that a field of spec.metrics sets.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=4096
	// +kubebuilder:validation:XValidation:rule="self.all(arg, arg.matches('^--[a-z][-_a-z0-9]*(=|$)') && !arg.matches('^--(resources|namespaces|metric-|custom-resource-state-config)[^=]*$'))",message="each of spec.template.extraArgs must be one flag, written as --flag or --flag=value: join a flag and its value with '='"
	// +kubebuilder:validation:XValidation:rule="self.all(arg, !arg.contains('$('))",message="spec.template.extraArgs must not have $(, because Kubernetes replaces it by an environment variable that could set the shard: write the value itself"
	// +kubebuilder:validation:XValidation:rule="bytes(self.join('')).size() <= 65536",message="spec.template.extraArgs must have at most 65536 bytes in all, because Linux limits the length of an argument: write shorter lists"
	// +kubebuilder:validation:XValidation:rule="self.filter(arg, arg.startsWith('--metric-labels-allowlist=')).size() <= 1 && self.filter(arg, arg.startsWith('--metric-annotations-allowlist=')).size() <= 1",message="spec.template.extraArgs must not have --metric-labels-allowlist or --metric-annotations-allowlist twice, because kube-state-metrics reads only the last one: join their values with commas"
	// +kubebuilder:validation:XValidation:rule="self.all(arg, !arg.matches('^--[^=]*shard'))",message="spec.template.extraArgs must not set --shard, --total-shards or another flag with shard in its name, because KSMScale sets the shard: set spec.sharding.enabled and spec.sharding.shardCount instead"
	// +kubebuilder:validation:XValidation:rule="self.all(arg, !(arg.split('=', 2)[0] in ['--pod', '--pod-namespace', '--node', '--track-unscheduled-pods']))",message="spec.template.extraArgs must not set --pod, --pod-namespace, --node or --track-unscheduled-pods, which enable the sharding of kube-state-metrics itself: set spec.sharding.enabled and spec.sharding.shardCount instead"
	// +kubebuilder:validation:XValidation:rule="self.all(arg, !(arg.split('=', 2)[0] in ['--config', '--continue-without-config']))",message="spec.template.extraArgs must not set --config or --continue-without-config, because a file could set the shard: write its options as flags instead"
	// +kubebuilder:validation:XValidation:rule="self.all(arg, !(arg.split('=', 2)[0] in ['--port', '--host'] || arg.startsWith('--telemetry-')))",message="spec.template.extraArgs must not set --port, --host or --telemetry-*, because Services and probes use ports 8080 and 8081 of all addresses: remove them, and create your own Service for another port"
	// +kubebuilder:validation:XValidation:rule="self.all(arg, arg.split('=', 2)[0] != '--tls-config')",message="spec.template.extraArgs must not set --tls-config, because probes and the gate need it too: set spec.metrics.tls instead"
	// +kubebuilder:validation:XValidation:rule="self.all(arg, arg.split('=', 2)[0] != '--auth-filter')",message="spec.template.extraArgs must not set --auth-filter, because the gate needs it too: set spec.metrics.authFilter instead"
	// +kubebuilder:validation:XValidation:rule="self.all(arg, arg.split('=', 2)[0] != '--object-limit')",message="spec.template.extraArgs must not set --object-limit, because the gate needs it too: set spec.metrics.objectLimit instead"
	// +kubebuilder:validation:XValidation:rule="self.all(arg, arg.split('=', 2)[0] != '--custom-resource-state-only')",message="spec.template.extraArgs must not set --custom-resource-state-only, because the gate needs it too: set spec.metrics.customResourceState.only instead"
	// +kubebuilder:validation:XValidation:rule="self.all(arg, !(arg.split('=', 2)[0] in ['--kubeconfig', '--apiserver']))",message="spec.template.extraArgs must not set --kubeconfig or --apiserver, because kube-state-metrics uses the service account of its pod: remove them"
	// +kubebuilder:validation:XValidation:rule="self.all(arg, !(arg.split('=', 2)[0] in ['--help', '--version']))",message="spec.template.extraArgs must not set --help or --version, because kube-state-metrics then ends at once: remove them"
	// +listType=atomic
	// +optional
	ExtraArgs []string `json:"extraArgs,omitempty"`
	// labels are added to the pods.
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(key, key.size() <= 317 && key.indexOf('/') <= 253 && key.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$'))",message="each key of spec.template.labels must be the key of a label, such as example.com/team"
	// +kubebuilder:validation:XValidation:rule="self.all(key, !(key in ['app.kubernetes.io/name', 'app.kubernetes.io/instance', 'app.kubernetes.io/component', 'ksmscale.example.com', 'shard-id', 'total-shards', 'sharding-enabled', 'pod-template-hash']))",message="spec.template.labels must not set a label that identifies pods of a shard (app.kubernetes.io/name, /instance and /component, ksmscale.example.com, shard-id, total-shards, sharding-enabled, pod-template-hash): use another name, such as example.com/team"
	// +optional
	Labels map[string]LabelValue `json:"labels,omitempty"`
	// annotations are added to the pods.
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(key, key.size() <= 317 && key.indexOf('/') <= 253 && key.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$'))",message="each key of spec.template.annotations must be the key of an annotation, such as example.com/owner"
	// +kubebuilder:validation:XValidation:rule="!('ksmscale.example.com/shard-assignment' in self) && !('ksmscale.example.com/web-config' in self)",message="spec.template.annotations must not set ksmscale.example.com/shard-assignment or ksmscale.example.com/web-config, because KSMScale sets them: use another name, such as example.com/owner"
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
	// serviceAccountName is the service account of the pods. It needs the rights to read what kube-state-metrics
	// exports. The default is a service account that KSMScale creates with these rights.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="spec.template.serviceAccountName must be the name of a service account: remove it, and KSMScale creates one"
	// +optional
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
	// imagePullSecrets are the Secrets for pulling the images.
	// +kubebuilder:validation:MaxItems=16
	// +listType=map
	// +listMapKey=name
	// +optional
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`
	// imagePullPolicy is the pull policy of the images of kube-state-metrics and the gate.
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	// +optional
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy,omitempty"`
	// env are environment variables of kube-state-metrics and of the gate. Both get them, because both must find the
	// same API server.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self.all(variable, variable.name.size() + (has(variable.value) ? variable.value.size() : 0) <= 32000)",message="each of spec.template.env must have at most 32000 characters, name and value together, because Linux limits its length: put long values into a volume"
	// +kubebuilder:validation:XValidation:rule="self.all(variable, !(variable.name in ['SHARD_ID', 'POD_NAME']))",message="spec.template.env must not set SHARD_ID or POD_NAME, because KSMScale sets them: use another name"
	// +listType=map
	// +listMapKey=name
	// +optional
	Env []corev1.EnvVar `json:"env,omitempty"`
	// goMemoryLimitPercent sets GOMEMLIMIT of kube-state-metrics to this percentage of its memory limit. With 90, for
	// example, it collects garbage before it reaches the limit.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +optional
	GoMemoryLimitPercent int32 `json:"goMemoryLimitPercent,omitempty"`
	// volumes are added to the pods.
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule="self.all(volume, !(volume.name in ['custom-resource-state', 'kube-state-metrics-tls']))",message="spec.template.volumes must not have the name custom-resource-state or kube-state-metrics-tls, because the volumes of spec.metrics have them: use another name"
	// +kubebuilder:validation:XValidation:rule="self.all(volume, !has(volume.hostPath))",message="spec.template.volumes must not have a hostPath, because the pods could change their nodes with it: use a configMap, secret or projected volume instead"
	// +listType=map
	// +listMapKey=name
	// +optional
	Volumes []corev1.Volume `json:"volumes,omitempty"`
	// volumeMounts mount the volumes in the container of kube-state-metrics.
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule="self.all(mount, mount.mountPath.startsWith('/') && !mount.mountPath.startsWith('//') && !mount.mountPath.startsWith('/.'))",message="each mountPath of spec.template.volumeMounts must be an absolute path, such as /scratch"
	// +kubebuilder:validation:XValidation:rule="self.all(mount, !(mount.mountPath in ['/', '/etc', '/etc/', '/etc/kube-state-metrics']) && !mount.mountPath.startsWith('/etc/kube-state-metrics/'))",message="each mountPath of spec.template.volumeMounts must not overlap with /etc/kube-state-metrics, because the files of spec.metrics are mounted there: use another path, such as /scratch"
	// +listType=map
	// +listMapKey=mountPath
	// +optional
	VolumeMounts []corev1.VolumeMount `json:"volumeMounts,omitempty"`
	// securityContext is the security context of the pods. containerSecurityContext takes precedence.
	// +kubebuilder:validation:XValidation:rule="!has(self.windowsOptions) || !has(self.windowsOptions.hostProcess) || !self.windowsOptions.hostProcess",message="spec.template.securityContext.windowsOptions must not set hostProcess to true, because kube-state-metrics only reads the API: remove it"
	// +optional
	SecurityContext *corev1.PodSecurityContext `json:"securityContext,omitempty"`
	// containerSecurityContext is the security context of both containers. It replaces the whole default, which meets
	// the Pod Security Standard restricted. On OpenShift, for example, it must not have runAsUser.
	// +kubebuilder:validation:XValidation:rule="!(has(self.privileged) && self.privileged) && !(has(self.allowPrivilegeEscalation) && self.allowPrivilegeEscalation)",message="spec.template.containerSecurityContext must not set privileged or allowPrivilegeEscalation to true, because kube-state-metrics only reads the API: remove them"
	// +kubebuilder:validation:XValidation:rule="!has(self.capabilities) || !has(self.capabilities.add) || self.capabilities.add.size() == 0",message="spec.template.containerSecurityContext.capabilities must not have add, because kube-state-metrics only reads the API: remove add"
	// +kubebuilder:validation:XValidation:rule="!has(self.windowsOptions) || !has(self.windowsOptions.hostProcess) || !self.windowsOptions.hostProcess",message="spec.template.containerSecurityContext.windowsOptions must not set hostProcess to true, because kube-state-metrics only reads the API: remove it"
	// +kubebuilder:validation:XValidation:rule="!has(self.procMount) || self.procMount == 'Default'",message="spec.template.containerSecurityContext.procMount must not be Unmasked, because kube-state-metrics only reads the API: remove it"
	// +optional
	ContainerSecurityContext *corev1.SecurityContext `json:"containerSecurityContext,omitempty"`
	// nodeSelector has labels that a node must have to run the pods. KSMScale adds kubernetes.io/os: linux, unless you
	// set that key.
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(key, key.size() <= 317 && key.indexOf('/') <= 253 && key.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$'))",message="each key of spec.template.nodeSelector must be the key of a label, such as node-role.kubernetes.io/worker"
	// +optional
	NodeSelector map[string]LabelValue `json:"nodeSelector,omitempty"`
	// tolerations are the tolerations of the pods.
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	// +optional
	Tolerations []Toleration `json:"tolerations,omitempty"`
	// affinity is the affinity of the pods. KSMScale still spreads the pods of a shard over nodes.
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`
	// priorityClassName is the PriorityClass of the pods.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="spec.template.priorityClassName must be the name of a PriorityClass, such as system-cluster-critical"
	// +optional
	PriorityClassName string `json:"priorityClassName,omitempty"`
	// hostNetwork gives the pods the network of their nodes, with ports 8080 to 8082. A node then fits one pod of
	// all shards only, and a rollout needs one more node.
	// +optional
	HostNetwork bool `json:"hostNetwork,omitempty"`
	// dnsPolicy is the DNS policy of the pods.
	// +kubebuilder:validation:Enum=ClusterFirst;ClusterFirstWithHostNet;Default;None
	// +optional
	DNSPolicy corev1.DNSPolicy `json:"dnsPolicy,omitempty"`
	// dnsConfig is the DNS configuration of the pods.
	// +optional
	DNSConfig *corev1.PodDNSConfig `json:"dnsConfig,omitempty"`
	// gate configures the container gate. It runs next to each kube-state-metrics and answers its readiness probe.
	// +optional
	Gate *GateConfig `json:"gate,omitempty"`
}

// GateConfig configures the container gate.
type GateConfig struct {
	// resources are the resource requirements of the container gate. Set them in namespaces with a ResourceQuota, a
	// LimitRange or a policy that requires limits for all containers. They replace the whole default, which is requests
	// of 10m CPU and 64Mi memory without limits. While the gate starts, its memory grows with the number of objects.
	// +kubebuilder:validation:XValidation:rule="!has(self.claims)",message="spec.template.gate.resources.claims must not be set, because KSMScale does not support it: set requests and limits only"
	// +kubebuilder:validation:XValidation:rule="!has(self.requests) || !has(self.limits) || ['cpu', 'memory', 'ephemeral-storage'].all(name, !(name in self.requests) || !(name in self.limits) || quantity(string(self.requests[name])).compareTo(quantity(string(self.limits[name]))) <= 0)",message="spec.template.gate.resources.requests must not be above its limits: lower the request, or raise the limit"
	// +optional
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`
}
