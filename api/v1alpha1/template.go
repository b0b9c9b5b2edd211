package v1alpha1

import corev1 "k8s.io/api/core/v1"

// PodTemplate is what is added to the pods of each shard.
//
// +kubebuilder:validation:XValidation:rule="!has(self.goMemoryLimitPercent) || !has(self.env) || self.env.all(variable, variable.name != 'GOMEMLIMIT')",message="spec.template.env must not set GOMEMLIMIT, since spec.template.goMemoryLimitPercent does: remove one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.dnsPolicy) || self.dnsPolicy != 'None' || has(self.dnsConfig)",message="spec.template.dnsPolicy None takes name servers from spec.template.dnsConfig: set that too, or another policy"
type PodTemplate struct {
	// extraArgs are further flags of kube-state-metrics, each written as --flag or --flag=value. Flags that
	// set shard, addresses or credentials are refused, because sharding and probes rely on them, and
	// so are those that spec.metrics sets as well.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=4096
	// +kubebuilder:validation:XValidation:rule="self.all(arg, arg.matches('^--[a-z][-_a-z0-9]*(=|$)') && !arg.matches('^--(resources|namespaces|metric-|custom-resource-state-config)[^=]*$'))",message="each of spec.template.extraArgs must be one flag, written as --flag or --flag=value: join a flag and its value with '='"
	// +kubebuilder:validation:XValidation:rule="self.all(arg, !arg.contains('$('))",message="spec.template.extraArgs must not have $(, with which Kubernetes puts an environment variable there, and that could set the shard: write the value itself"
	// +kubebuilder:validation:XValidation:rule="bytes(self.join('')).size() <= 65536",message="spec.template.extraArgs must have at most 65536 bytes in all, because the gate gets their lists in one argument, and Linux takes none of more than 131071: write shorter lists"
	// +kubebuilder:validation:XValidation:rule="self.filter(arg, arg.startsWith('--metric-labels-allowlist=')).size() <= 1 && self.filter(arg, arg.startsWith('--metric-annotations-allowlist=')).size() <= 1",message="spec.template.extraArgs must not have --metric-labels-allowlist or --metric-annotations-allowlist twice, because kube-state-metrics takes the last one only: join their values with commas"
	// +kubebuilder:validation:XValidation:rule="self.all(arg, !arg.matches('^--[^=]*shard'))",message="spec.template.extraArgs must not set --shard, --total-shards or another flag whose name contains shard, which could make kube-state-metrics export another part of the objects: write spec.sharding.enabled and spec.sharding.shardCount instead"
	// +kubebuilder:validation:XValidation:rule="self.all(arg, !(arg.split('=', 2)[0] in ['--pod', '--pod-namespace', '--node', '--track-unscheduled-pods']))",message="spec.template.extraArgs must not set --pod, --pod-namespace, --node or --track-unscheduled-pods, which switch on kube-state-metrics' own sharding: write spec.sharding.enabled and spec.sharding.shardCount instead"
	// +kubebuilder:validation:XValidation:rule="self.all(arg, !(arg.split('=', 2)[0] in ['--config', '--continue-without-config']))",message="spec.template.extraArgs must not set --config, since a file could set the shard: write its options as flags in spec.template.extraArgs instead"
	// +kubebuilder:validation:XValidation:rule="self.all(arg, !(arg.split('=', 2)[0] in ['--port', '--host'] || arg.startsWith('--telemetry-')))",message="spec.template.extraArgs must not set --port, --host or --telemetry-*: Services and probes use ports 8080 and 8081 of every address, IPv4 and IPv6 as the node has them; leave them out, and use a Service of your own for another port"
	// +kubebuilder:validation:XValidation:rule="self.all(arg, arg.split('=', 2)[0] != '--tls-config')",message="spec.template.extraArgs must not set --tls-config, which probes and the gate have to know of: write spec.metrics.tls instead"
	// +kubebuilder:validation:XValidation:rule="self.all(arg, arg.split('=', 2)[0] != '--auth-filter')",message="spec.template.extraArgs must not set --auth-filter, which the gate has to know of: write spec.metrics.authFilter instead"
	// +kubebuilder:validation:XValidation:rule="self.all(arg, arg.split('=', 2)[0] != '--object-limit')",message="spec.template.extraArgs must not set --object-limit, which the gate has to know of: write spec.metrics.objectLimit instead"
	// +kubebuilder:validation:XValidation:rule="self.all(arg, arg.split('=', 2)[0] != '--custom-resource-state-only')",message="spec.template.extraArgs must not set --custom-resource-state-only, which the gate has to know of: write spec.metrics.customResourceState.only instead"
	// +kubebuilder:validation:XValidation:rule="self.all(arg, !(arg.split('=', 2)[0] in ['--kubeconfig', '--apiserver']))",message="spec.template.extraArgs must not set --kubeconfig or --apiserver: kube-state-metrics uses the service account of its pod; leave them out"
	// +kubebuilder:validation:XValidation:rule="self.all(arg, !(arg.split('=', 2)[0] in ['--help', '--version']))",message="spec.template.extraArgs must not set --help or --version, with which kube-state-metrics ends at once: leave them out"
	// +listType=atomic
	// +optional
	ExtraArgs []string `json:"extraArgs,omitempty"`
	// labels are added to the pods.
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(key, key.size() <= 317 && !format.qualifiedName().validate(key).hasValue())",message="each key of spec.template.labels must be the key of a label, such as example.com/team"
	// +kubebuilder:validation:XValidation:rule="self.all(key, !(key in ['app.kubernetes.io/name', 'app.kubernetes.io/instance', 'app.kubernetes.io/component', 'ksmscale.example.com', 'shard-id', 'total-shards', 'sharding-enabled', 'pod-template-hash']))",message="spec.template.labels must not set a label that says which shard a pod belongs to (app.kubernetes.io/name, /instance and /component, ksmscale.example.com, shard-id, total-shards, sharding-enabled, pod-template-hash): use a label of another name"
	// +optional
	Labels map[string]LabelValue `json:"labels,omitempty"`
	// annotations are added to the pods.
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(key, key.size() <= 317 && !format.qualifiedName().validate(key).hasValue())",message="each key of spec.template.annotations must be the key of an annotation, such as example.com/owner"
	// +kubebuilder:validation:XValidation:rule="!('ksmscale.example.com/shard-assignment' in self) && !('ksmscale.example.com/web-config' in self)",message="spec.template.annotations must not set ksmscale.example.com/shard-assignment or ksmscale.example.com/web-config, which are KSMScale's: use another name"
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
	// serviceAccountName is the service account that the pods run under, with the rights that you give it. By default
	// one is made, with the right to read what is exported.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="spec.template.serviceAccountName must be the name of a service account: leave it out to have one made"
	// +optional
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
	// imagePullSecrets are the Secrets that images are pulled with.
	// +kubebuilder:validation:MaxItems=16
	// +listType=map
	// +listMapKey=name
	// +optional
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`
	// imagePullPolicy is when images are pulled: of kube-state-metrics, and of the gate.
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	// +optional
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy,omitempty"`
	// env are environment variables of kube-state-metrics and of the gate, so that both find the same API server.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self.all(variable, variable.name.size() + (has(variable.value) ? variable.value.size() : 0) <= 32000)",message="each of spec.template.env must have at most 32000 characters, name and value together, because Linux takes no longer ones: put long values into a volume"
	// +kubebuilder:validation:XValidation:rule="self.all(variable, !(variable.name in ['SHARD_ID', 'POD_NAME']))",message="spec.template.env must not set SHARD_ID or POD_NAME, which say which shard a pod is: use another name"
	// +listType=map
	// +listMapKey=name
	// +optional
	Env []corev1.EnvVar `json:"env,omitempty"`
	// goMemoryLimitPercent sets GOMEMLIMIT of kube-state-metrics to that part of spec.resources.limits.memory, such as
	// 90, so that it collects garbage in time.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +optional
	GoMemoryLimitPercent int32 `json:"goMemoryLimitPercent,omitempty"`
	// volumes are added to the pods.
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule="self.all(volume, !(volume.name in ['custom-resource-state', 'kube-state-metrics-tls']))",message="spec.template.volumes must not have one of the name custom-resource-state or kube-state-metrics-tls, which are those of spec.metrics: use another name"
	// +kubebuilder:validation:XValidation:rule="self.all(volume, !has(volume.hostPath))",message="spec.template.volumes must not have a hostPath, with which the pods could change their nodes: write a configMap, secret or projected volume instead"
	// +listType=map
	// +listMapKey=name
	// +optional
	Volumes []corev1.Volume `json:"volumes,omitempty"`
	// volumeMounts are where kube-state-metrics finds the volumes.
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule="self.all(mount, mount.mountPath.startsWith('/') && !mount.mountPath.startsWith('//') && !mount.mountPath.startsWith('/.'))",message="each mountPath of spec.template.volumeMounts must be an absolute path, such as /scratch"
	// +kubebuilder:validation:XValidation:rule="self.all(mount, !(mount.mountPath in ['/', '/etc', '/etc/', '/etc/kube-state-metrics']) && !mount.mountPath.startsWith('/etc/kube-state-metrics/'))",message="no mountPath of spec.template.volumeMounts may be /etc/kube-state-metrics, or contain it or be in it, because the files of spec.metrics are mounted there: use another path"
	// +listType=map
	// +listMapKey=mountPath
	// +optional
	VolumeMounts []corev1.VolumeMount `json:"volumeMounts,omitempty"`
	// securityContext is that of the pods. That of the containers goes before it.
	// +optional
	SecurityContext *corev1.PodSecurityContext `json:"securityContext,omitempty"`
	// containerSecurityContext is that of both containers. It replaces the default, which is what the Pod Security
	// Standard restricted asks for, as a whole: on OpenShift, for instance, it must not have runAsUser.
	// +kubebuilder:validation:XValidation:rule="!(has(self.privileged) && self.privileged) && !(has(self.allowPrivilegeEscalation) && self.allowPrivilegeEscalation)",message="spec.template.containerSecurityContext must not set privileged or allowPrivilegeEscalation to true: kube-state-metrics only reads the API; leave them out"
	// +kubebuilder:validation:XValidation:rule="!has(self.capabilities) || !has(self.capabilities.add) || self.capabilities.add.size() == 0",message="spec.template.containerSecurityContext.capabilities must not add any: kube-state-metrics only reads the API; leave add out"
	// +kubebuilder:validation:XValidation:rule="!has(self.procMount) || self.procMount == 'Default'",message="spec.template.containerSecurityContext.procMount must not be Unmasked: leave it out"
	// +optional
	ContainerSecurityContext *corev1.SecurityContext `json:"containerSecurityContext,omitempty"`
	// nodeSelector has labels that nodes must have for the pods to run there. Pods run on Linux nodes only, because
	// kubernetes.io/os: linux is added, unless you set that key to another value.
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(key, key.size() <= 317 && !format.qualifiedName().validate(key).hasValue())",message="each key of spec.template.nodeSelector must be the key of a label, such as node-role.kubernetes.io/worker"
	// +optional
	NodeSelector map[string]LabelValue `json:"nodeSelector,omitempty"`
	// tolerations are those of the pods.
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	// +optional
	Tolerations []Toleration `json:"tolerations,omitempty"`
	// affinity is that of the pods. That the pods of a shard avoid each other's nodes is kept beside it.
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`
	// priorityClassName is that of the pods.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="spec.template.priorityClassName must be the name of a PriorityClass, such as system-cluster-critical"
	// +optional
	PriorityClassName string `json:"priorityClassName,omitempty"`
	// hostNetwork has the pods use the network of their nodes, with ports 8080 to 8082. No two pods of any shards fit on
	// one node then, and a rollout needs one more.
	// +optional
	HostNetwork bool `json:"hostNetwork,omitempty"`
	// dnsPolicy is that of the pods.
	// +kubebuilder:validation:Enum=ClusterFirst;ClusterFirstWithHostNet;Default;None
	// +optional
	DNSPolicy corev1.DNSPolicy `json:"dnsPolicy,omitempty"`
	// dnsConfig is that of the pods.
	// +optional
	DNSConfig *corev1.PodDNSConfig `json:"dnsConfig,omitempty"`
	// gate is about the container gate, which runs next to each kube-state-metrics and answers its readiness probe.
	// +optional
	Gate *GateConfig `json:"gate,omitempty"`
}

// GateConfig is what the container gate may use.
type GateConfig struct {
	// resources are the resource requirements of the container gate, for namespaces with a ResourceQuota, a LimitRange or
	// a policy that needs limits on all containers. They replace the default as a whole, which is requests of 10m CPU and
	// 64Mi memory and no limits. The gate's memory grows with the number of objects for a moment at its start.
	// +kubebuilder:validation:XValidation:rule="!has(self.claims)",message="spec.template.gate.resources.claims is not supported: set requests and limits only"
	// +kubebuilder:validation:XValidation:rule="!has(self.requests) || !has(self.limits) || ['cpu', 'memory', 'ephemeral-storage'].all(name, !(name in self.requests) || !(name in self.limits) || quantity(string(self.requests[name])).compareTo(quantity(string(self.limits[name]))) <= 0)",message="spec.template.gate.resources.requests must not be above its limits: lower the request, or raise the limit"
	// +optional
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`
}
