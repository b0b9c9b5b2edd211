package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// KSMScale runs kube-state-metrics as shards whose replicas follow the number of nodes.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=ksm,singular=ksmscale,path=ksmscales
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.ready`
// +kubebuilder:printcolumn:name="Nodes",type=integer,JSONPath=`.status.nodeCount`
// +kubebuilder:printcolumn:name="Desired",type=integer,JSONPath=`.status.desiredReplicas`
// +kubebuilder:printcolumn:name="Shards",type=integer,JSONPath=`.status.shardingStatus.totalShards`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Mode",type=string,priority=1,JSONPath=`.spec.autoscaling.mode`
// +kubebuilder:printcolumn:name="Min",type=integer,priority=1,JSONPath=`.spec.sharding.minReplicasPerShard`
// +kubebuilder:printcolumn:name="Max",type=integer,priority=1,JSONPath=`.spec.sharding.maxReplicasPerShard`
// +kubebuilder:printcolumn:name="Version",type=string,priority=1,JSONPath=`.status.version`
// +kubebuilder:printcolumn:name="Missing",type=integer,priority=1,JSONPath=`.status.missingObjects`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 45 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="metadata.name must be a DNS label of at most 45 characters (lower case letters, digits and '-'), because it is part of the names of shards: choose a shorter or simpler name"
// +kubebuilder:validation:XValidation:rule="!has(self.spec) || !has(self.spec.template) || !has(self.spec.template.serviceAccountName) || self.spec.template.serviceAccountName != 'ksm-' + self.metadata.name",message="spec.template.serviceAccountName must not be ksm- and the name of the KSMScale, because KSMScale creates that service account: remove it, or use another one"
// +kubebuilder:validation:XValidation:rule="!has(self.spec) || !has(self.spec.sharding) || !has(self.spec.sharding.auto) || self.spec.sharding.auto.maxShards <= 10 || self.metadata.name.size() <= 44",message="metadata.name must have at most 44 characters with spec.sharding.auto.maxShards above 10, because it is part of the names of shards: choose a shorter name, or set maxShards to 10"
type KSMScale struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard metadata of an object.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the desired state.
	// +kubebuilder:default={}
	// +optional
	Spec KSMScaleSpec `json:"spec,omitzero"`
	// status is the state that the controller observed last. The controller writes it only when its content changes.
	// +optional
	Status KSMScaleStatus `json:"status,omitzero"`
}

// KSMScaleList is a list of KSMScales.
//
// +kubebuilder:object:root=true
type KSMScaleList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []KSMScale `json:"items"`
}

// KSMScaleSpec is the desired state of the kube-state-metrics of a cluster.
//
// +kubebuilder:validation:XValidation:rule="!has(self.metrics) || !has(self.metrics.resources) || !has(self.template) || !has(self.template.extraArgs) || self.template.extraArgs.all(arg, arg != '--resources' && !arg.startsWith('--resources='))",message="spec.template.extraArgs must not set --resources, because spec.metrics.resources is set: remove one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.metrics) || !has(self.metrics.metricAllowlist) || !has(self.template) || !has(self.template.extraArgs) || self.template.extraArgs.all(arg, arg != '--metric-allowlist' && !arg.startsWith('--metric-allowlist='))",message="spec.template.extraArgs must not set --metric-allowlist, because spec.metrics.metricAllowlist is set: remove one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.metrics) || !has(self.metrics.metricDenylist) || !has(self.template) || !has(self.template.extraArgs) || self.template.extraArgs.all(arg, arg != '--metric-denylist' && !arg.startsWith('--metric-denylist='))",message="spec.template.extraArgs must not set --metric-denylist, because spec.metrics.metricDenylist is set: remove one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.metrics) || !has(self.metrics.metricOptInList) || !has(self.template) || !has(self.template.extraArgs) || self.template.extraArgs.all(arg, arg != '--metric-opt-in-list' && !arg.startsWith('--metric-opt-in-list='))",message="spec.template.extraArgs must not set --metric-opt-in-list, because spec.metrics.metricOptInList is set: remove one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.metrics) || !has(self.metrics.metricLabelsAllowlist) || !has(self.template) || !has(self.template.extraArgs) || self.template.extraArgs.all(arg, arg != '--metric-labels-allowlist' && !arg.startsWith('--metric-labels-allowlist='))",message="spec.template.extraArgs must not set --metric-labels-allowlist, because spec.metrics.metricLabelsAllowlist is set: remove one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.metrics) || !has(self.metrics.metricAnnotationsAllowlist) || !has(self.template) || !has(self.template.extraArgs) || self.template.extraArgs.all(arg, arg != '--metric-annotations-allowlist' && !arg.startsWith('--metric-annotations-allowlist='))",message="spec.template.extraArgs must not set --metric-annotations-allowlist, because spec.metrics.metricAnnotationsAllowlist is set: remove one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.metrics) || !has(self.metrics.namespaces) || !has(self.template) || !has(self.template.extraArgs) || self.template.extraArgs.all(arg, arg != '--namespaces' && !arg.startsWith('--namespaces='))",message="spec.template.extraArgs must not set --namespaces, because spec.metrics.namespaces is set: remove one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.metrics) || !has(self.metrics.namespacesDenylist) || !has(self.template) || !has(self.template.extraArgs) || self.template.extraArgs.all(arg, arg != '--namespaces-denylist' && !arg.startsWith('--namespaces-denylist='))",message="spec.template.extraArgs must not set --namespaces-denylist, because spec.metrics.namespacesDenylist is set: remove one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.metrics) || !has(self.metrics.useAPIServerCache) || !has(self.template) || !has(self.template.extraArgs) || self.template.extraArgs.all(arg, arg != '--use-apiserver-cache' && !arg.startsWith('--use-apiserver-cache='))",message="spec.template.extraArgs must not set --use-apiserver-cache, because spec.metrics.useAPIServerCache is set: remove one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.metrics) || !has(self.metrics.customResourceState) || !has(self.template) || !has(self.template.extraArgs) || self.template.extraArgs.all(arg, !arg.startsWith('--custom-resource-state-'))",message="spec.template.extraArgs must not set --custom-resource-state-*, because spec.metrics.customResourceState is set: remove one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.template) || !has(self.template.goMemoryLimitPercent) || has(self.autoResources) && self.autoResources.limits || (has(self.resources) && has(self.resources.limits) && 'memory' in self.resources.limits)",message="spec.template.goMemoryLimitPercent must not be set without a memory limit: set spec.resources.limits.memory or spec.autoResources.limits too, or remove goMemoryLimitPercent"
// +kubebuilder:validation:XValidation:rule="!has(self.metrics) || !has(self.metrics.tls) || (has(self.monitoring) && (has(self.monitoring.tlsConfig) || (has(self.monitoring.type) && self.monitoring.type == 'None')))",message="spec.metrics.tls must not be set without spec.monitoring.tlsConfig, because Prometheus needs a CA to trust: set its ca, or set spec.monitoring.type to None and configure your own jobs"
// +kubebuilder:validation:XValidation:rule="!has(self.monitoring) || !has(self.monitoring.tlsConfig) || (has(self.metrics) && has(self.metrics.tls))",message="spec.monitoring.tlsConfig must not be set without spec.metrics.tls, because kube-state-metrics then serves without TLS: set spec.metrics.tls too, or remove tlsConfig"
// +kubebuilder:validation:XValidation:rule="!has(self.template) || !has(self.template.hostNetwork) || !self.template.hostNetwork || !has(self.metrics) || !has(self.metrics.authFilter) || !self.metrics.authFilter || has(self.metrics.tls)",message="spec.template.hostNetwork must not be true with spec.metrics.authFilter and without spec.metrics.tls, because any process on the node could receive the token of the gate: set spec.metrics.tls, or remove hostNetwork or authFilter"
// +kubebuilder:validation:XValidation:rule="!has(self.sharding) || !has(self.sharding.auto) || !has(self.autoscaling) || self.autoscaling.mode != 'None'",message="spec.sharding.auto must not be set with spec.autoscaling.mode None, because new shards would have no autoscaler: remove auto, or set mode to HorizontalPodAutoscaler or Direct"
// +kubebuilder:validation:XValidation:rule="!has(self.autoResources) || !has(self.autoResources.maxMemory) || !has(self.resources) || !has(self.resources.requests) || !('memory' in self.resources.requests) || quantity(string(self.resources.requests['memory'])).compareTo(quantity(string(self.autoResources.maxMemory))) <= 0",message="spec.resources.requests.memory must not be above spec.autoResources.maxMemory, because it is the minimum of the memory request: lower it, or raise maxMemory"
// +kubebuilder:validation:XValidation:rule="!has(self.autoResources) || !has(self.resources) || !has(self.resources.limits) || !('memory' in self.resources.limits)",message="spec.resources.limits.memory must not be set with spec.autoResources, which sets the memory limit: set spec.autoResources.maxMemory instead, or spec.autoResources.limits to false for no limit"
type KSMScaleSpec struct {
	// nodesPerMonitor is the number of nodes for each kube-state-metrics pod.
	// +kubebuilder:default=15
	// +kubebuilder:validation:Minimum=1
	// +optional
	NodesPerMonitor int32 `json:"nodesPerMonitor,omitempty"`
	// monitorImage is the image of kube-state-metrics. Sharded releases before v2.20.0 can lose objects after a relist
	// (kubernetes/kube-state-metrics#3065) and keep the objects of all shards in memory (#3003). The tag must name the
	// version, with or without a digest. Releases v2 from v2.13.0 on get --server-idle-timeout, so no scrape goes to a
	// pod that is about to end. If the tag names no version, add --server-idle-timeout=1s to spec.template.extraArgs, or
	// less for scrapes every few seconds.
	// +kubebuilder:default="registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.20.0"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.matches('^[^\\\\s]+$')",message="spec.monitorImage must be an image reference without spaces, such as registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.20.0"
	// +optional
	MonitorImage string `json:"monitorImage,omitempty"`
	// namespace is the namespace of the shards. It must exist, and cannot be changed.
	// +kubebuilder:default=monitoring
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="spec.namespace must be the name of a namespace: a DNS label of lower case letters, digits and '-', such as monitoring"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec.namespace cannot be changed, because shards cannot move: create a second KSMScale for the other namespace, and delete this one after that one is Ready"
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// nodes selects the nodes that count.
	// +kubebuilder:default={}
	// +optional
	Nodes NodesConfig `json:"nodes,omitzero"`
	// resources are the resource requirements of each kube-state-metrics container.
	// +kubebuilder:validation:XValidation:rule="!has(self.claims)",message="spec.resources.claims must not be set, because KSMScale does not support it: set requests and limits only"
	// +kubebuilder:validation:XValidation:rule="!has(self.requests) || !has(self.limits) || ['cpu', 'memory', 'ephemeral-storage'].all(name, !(name in self.requests) || !(name in self.limits) || quantity(string(self.requests[name])).compareTo(quantity(string(self.limits[name]))) <= 0)",message="spec.resources.requests must not be above spec.resources.limits: lower the request, or raise the limit"
	// +optional
	Resources corev1.ResourceRequirements `json:"resources,omitempty"`
	// autoResources makes requests and limits of the kube-state-metrics containers follow what they use. A memory
	// request in spec.resources is then a minimum. CPU settings in spec.resources take precedence.
	// +optional
	AutoResources *AutoResources `json:"autoResources,omitempty"`
	// sharding divides the objects of the cluster among shards. Without it, one set of pods exports all objects. When
	// the number of shards changes, the previous shards run until the new shards take over.
	// +optional
	Sharding *ShardingConfig `json:"sharding,omitempty"`
	// autoscaling configures who scales the shards, and how fast.
	// +kubebuilder:default={}
	// +optional
	Autoscaling *AutoscalingConfig `json:"autoscaling,omitempty"`
	// monitoring configures how Prometheus scrapes the shards.
	// +kubebuilder:default={}
	// +optional
	Monitoring MonitoringConfig `json:"monitoring,omitzero"`
	// metrics selects what kube-state-metrics exports.
	// +optional
	Metrics MetricsConfig `json:"metrics,omitzero"`
	// template is added to the pods of each shard.
	// +optional
	Template *PodTemplate `json:"template,omitempty"`
	// commonLabels are added to every object of this KSMScale except its pods, for policies that require a label such as
	// team. A change of pod labels would restart every shard: use spec.template.labels for pods. Selectors do not
	// change.
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(key, key.size() <= 317 && key.indexOf('/') <= 253 && key.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$'))",message="each key of spec.commonLabels must be the key of a label, such as example.com/team"
	// +kubebuilder:validation:XValidation:rule="self.all(key, !key.startsWith('ksmscale.example.com/') && !(key in ['app.kubernetes.io/name', 'app.kubernetes.io/instance', 'app.kubernetes.io/component', 'ksmscale.example.com', 'shard-id', 'total-shards', 'sharding-enabled']))",message="spec.commonLabels must not set a label that identifies objects of KSMScale (app.kubernetes.io/name, /instance and /component, ksmscale.example.com and ksmscale.example.com/*, shard-id, total-shards, sharding-enabled): use another name, such as example.com/team"
	// +optional
	CommonLabels map[string]LabelValue `json:"commonLabels,omitempty"`
	// commonAnnotations are added to every object of this KSMScale except its pods. Use spec.template.annotations for
	// pods.
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(key, key.size() <= 317 && key.indexOf('/') <= 253 && key.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$'))",message="each key of spec.commonAnnotations must be the key of an annotation, such as example.com/owner"
	// +kubebuilder:validation:XValidation:rule="self.all(key, !key.startsWith('ksmscale.example.com/') && !key.startsWith('deployment.kubernetes.io/') && !key.startsWith('kubectl.kubernetes.io/'))",message="spec.commonAnnotations must not set ksmscale.example.com/*, deployment.kubernetes.io/* or kubectl.kubernetes.io/*, because KSMScale, the Deployment controller and kubectl write them: use another name, such as example.com/owner"
	// +optional
	CommonAnnotations map[string]AnnotationValue `json:"commonAnnotations,omitempty"`
}

// AnnotationValue is the value of an annotation.
//
// +kubebuilder:validation:MaxLength=4096
type AnnotationValue string

// ReplicationStrategy names a way to divide the desired replicas among the shards.
//
// +kubebuilder:validation:Enum=round-robin;least-loaded;zone-aware
type ReplicationStrategy string

// The ways to divide replicas among shards.
const (
	// RoundRobin gives every shard the same number of replicas. The first shards get one more if the replicas do not
	// divide evenly.
	RoundRobin ReplicationStrategy = "round-robin"
	// LeastLoaded gives every shard its minimum. Each further replica goes to the shard with the most load per replica.
	LeastLoaded ReplicationStrategy = "least-loaded"
	// ZoneAware divides like RoundRobin, and spreads the replicas of each shard evenly over zones.
	ZoneAware ReplicationStrategy = "zone-aware"
)

// ShardingConfig configures the number of shards and of their replicas.
//
// +kubebuilder:validation:XValidation:rule="self.maxReplicasPerShard == 0 || self.minReplicasPerShard <= self.maxReplicasPerShard",message="spec.sharding.minReplicasPerShard must not be above spec.sharding.maxReplicasPerShard: lower the minimum, or raise the maximum (0 is unlimited)"
type ShardingConfig struct {
	// enabled divides the objects among shardCount shards. If it is false, one shard has all objects.
	// +kubebuilder:default=false
	// +optional
	Enabled bool `json:"enabled"`
	// shardCount is the number of shards. The hash of its UID decides to which shard an object belongs.
	// +kubebuilder:default=3
	// +kubebuilder:validation:XValidation:rule="self >= 2 && self <= 10",message="spec.sharding.shardCount must be from 2 to 10: for a single shard, set spec.sharding.enabled to false"
	// +optional
	ShardCount int32 `json:"shardCount"`
	// auto makes the number of shards follow the size of the cluster. shardCount applies until there is a
	// recommendation, and again after auto is removed.
	// +optional
	Auto *AutoSharding `json:"auto,omitempty"`
	// replicationStrategy is the way to divide the desired replicas among the shards. round-robin gives every shard the
	// same number. least-loaded gives more replicas to the shards whose pods use more CPU. zone-aware divides like
	// round-robin, and the scheduler spreads each shard evenly over the zones of the nodes. One of two replicas then
	// survives the loss of a zone.
	// +kubebuilder:default=round-robin
	// +optional
	ReplicationStrategy ReplicationStrategy `json:"replicationStrategy,omitempty"`
	// minReplicasPerShard is the minimum number of replicas of each shard. With two replicas, a shard has metrics while
	// a node is drained.
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +optional
	MinReplicasPerShard int32 `json:"minReplicasPerShard,omitempty"`
	// maxReplicasPerShard is the maximum number of replicas of each shard; 0 is unlimited.
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +optional
	MaxReplicasPerShard int32 `json:"maxReplicasPerShard,omitempty"`
}

// AutoscalingMode names who sets the replicas of the shards.
//
// +kubebuilder:validation:Enum=HorizontalPodAutoscaler;Direct;None
type AutoscalingMode string

const (
	// ModeHorizontalPodAutoscaler scales each shard by a HorizontalPodAutoscaler, which reads external metrics.
	ModeHorizontalPodAutoscaler AutoscalingMode = "HorizontalPodAutoscaler"
	// ModeDirect makes the controller scale the shards itself, without external metrics.
	ModeDirect AutoscalingMode = "Direct"
	// ModeNone leaves the replicas of the shards to others.
	ModeNone AutoscalingMode = "None"
)

// AutoscalingConfig configures who scales the shards, and how fast.
type AutoscalingConfig struct {
	// mode is who sets the replicas of the shards. HorizontalPodAutoscaler creates an autoscaler for each shard, which
	// reads the external metrics of the cluster. Direct makes the controller scale the shards by the same plan and
	// behavior. Use it if another server has the external metrics. None leaves the replicas to you, for example by your
	// own HorizontalPodAutoscalers or KEDA's ScaledObjects. Changing the mode does not change replica counts.
	// +kubebuilder:default=HorizontalPodAutoscaler
	// +optional
	Mode AutoscalingMode `json:"mode,omitempty"`
	// behavior is the behavior of the HorizontalPodAutoscaler of each shard. Mode Direct follows it too. The default
	// tolerances are 0, so a difference of a single replica counts. Other fields have the defaults of a
	// HorizontalPodAutoscaler.
	// +optional
	Behavior *ScalingBehavior `json:"behavior,omitempty"`
}

// ScalingBehavior is an autoscaling/v2 HorizontalPodAutoscalerBehavior whose bounds the API server validates.
type ScalingBehavior struct {
	// scaleUp limits how replicas are added.
	// +optional
	ScaleUp *ScalingRules `json:"scaleUp,omitempty"`
	// scaleDown limits how replicas are removed.
	// +optional
	ScaleDown *ScalingRules `json:"scaleDown,omitempty"`
}

// ScalingRules is an autoscaling/v2 HPAScalingRules.
type ScalingRules struct {
	// stabilizationWindowSeconds is the time in seconds for which past recommendations count.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=3600
	// +optional
	StabilizationWindowSeconds *int32 `json:"stabilizationWindowSeconds,omitempty"`
	// selectPolicy selects the policy that decides: the one with the largest change (Max) or the smallest change (Min).
	// Disabled forbids scaling in this direction. The default is Max.
	// +kubebuilder:validation:Enum=Max;Min;Disabled
	// +optional
	SelectPolicy string `json:"selectPolicy,omitempty"`
	// policies limit how many replicas are added or removed in a period.
	// +kubebuilder:validation:MaxItems=16
	// +listType=atomic
	// +optional
	Policies []ScalingPolicy `json:"policies,omitempty"`
	// tolerance is the relative difference between desired and current replicas that is ignored. The default is 0. API
	// servers before Kubernetes 1.35 drop it unless a feature gate is on, and use 0.1.
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).compareTo(quantity('0')) >= 0",message="tolerance must be at least 0, such as 0.1"
	// +optional
	Tolerance *resource.Quantity `json:"tolerance,omitempty"`
}

// ScalingPolicy is an autoscaling/v2 HPAScalingPolicy.
type ScalingPolicy struct {
	// type is the unit of value: Pods, or Percent of the current pods.
	// +kubebuilder:validation:Enum=Pods;Percent
	// +required
	Type string `json:"type,omitempty"`
	// value is the number or percentage of pods that may be added or removed in a period.
	// +kubebuilder:validation:Minimum=1
	// +required
	Value int32 `json:"value,omitempty"`
	// periodSeconds is the length of the period in seconds.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1800
	// +required
	PeriodSeconds int32 `json:"periodSeconds,omitempty"`
}
