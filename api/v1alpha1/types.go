package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// KSMScale runs kube-state-metrics as a fixed number of shards whose replicas follow the number of nodes.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=ksm,singular=ksmscale,path=ksmscales
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Nodes",type=integer,JSONPath=`.status.nodeCount`
// +kubebuilder:printcolumn:name="Desired",type=integer,JSONPath=`.status.desiredReplicas`
// +kubebuilder:printcolumn:name="Current",type=integer,JSONPath=`.status.currentReplicas`
// +kubebuilder:printcolumn:name="Shards",type=integer,JSONPath=`.status.shardingStatus.totalShards`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 45 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="metadata.name must be a DNS label of at most 45 characters (lower case letters, digits and '-'), since the names of each shard's objects are made from it: choose a shorter or simpler name"
// +kubebuilder:validation:XValidation:rule="!has(self.spec) || !has(self.spec.template) || !has(self.spec.template.serviceAccountName) || self.spec.template.serviceAccountName != 'ksm-' + self.metadata.name",message="spec.template.serviceAccountName must not be ksm- with the name of the KSMScale, which is the one that is made for it: leave it out, or name another one"
// +kubebuilder:validation:XValidation:rule="!has(self.spec) || !has(self.spec.sharding) || !has(self.spec.sharding.auto) || self.spec.sharding.auto.maxShards <= 10 || self.metadata.name.size() <= 44",message="metadata.name must have at most 44 characters with spec.sharding.auto.maxShards above 10, because it is part of the names of shards: choose a shorter name, or set maxShards to 10"
type KSMScale struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard metadata of an object.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what is wanted.
	// +kubebuilder:default={}
	// +optional
	Spec KSMScaleSpec `json:"spec,omitzero"`
	// status is what the controller last saw. It is written only when its content changes.
	// +optional
	Status KSMScaleStatus `json:"status,omitzero"`
}

// KSMScaleList is a list of KSMScales, as the API server returns it.
//
// +kubebuilder:object:root=true
type KSMScaleList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []KSMScale `json:"items"`
}

// KSMScaleSpec is what a user wants of the kube-state-metrics of a cluster.
//
// +kubebuilder:validation:XValidation:rule="!has(self.metrics) || !has(self.metrics.resources) || !has(self.template) || !has(self.template.extraArgs) || self.template.extraArgs.all(arg, arg != '--resources' && !arg.startsWith('--resources='))",message="spec.template.extraArgs must not set --resources, since spec.metrics.resources is set: write that field only"
// +kubebuilder:validation:XValidation:rule="!has(self.metrics) || !has(self.metrics.metricAllowlist) || !has(self.template) || !has(self.template.extraArgs) || self.template.extraArgs.all(arg, arg != '--metric-allowlist' && !arg.startsWith('--metric-allowlist='))",message="spec.template.extraArgs must not set --metric-allowlist, since spec.metrics.metricAllowlist is set: write that field only"
// +kubebuilder:validation:XValidation:rule="!has(self.metrics) || !has(self.metrics.metricDenylist) || !has(self.template) || !has(self.template.extraArgs) || self.template.extraArgs.all(arg, arg != '--metric-denylist' && !arg.startsWith('--metric-denylist='))",message="spec.template.extraArgs must not set --metric-denylist, since spec.metrics.metricDenylist is set: write that field only"
// +kubebuilder:validation:XValidation:rule="!has(self.metrics) || !has(self.metrics.metricOptInList) || !has(self.template) || !has(self.template.extraArgs) || self.template.extraArgs.all(arg, arg != '--metric-opt-in-list' && !arg.startsWith('--metric-opt-in-list='))",message="spec.template.extraArgs must not set --metric-opt-in-list, since spec.metrics.metricOptInList is set: write that field only"
// +kubebuilder:validation:XValidation:rule="!has(self.metrics) || !has(self.metrics.metricLabelsAllowlist) || !has(self.template) || !has(self.template.extraArgs) || self.template.extraArgs.all(arg, arg != '--metric-labels-allowlist' && !arg.startsWith('--metric-labels-allowlist='))",message="spec.template.extraArgs must not set --metric-labels-allowlist, since spec.metrics.metricLabelsAllowlist is set: write that field only"
// +kubebuilder:validation:XValidation:rule="!has(self.metrics) || !has(self.metrics.metricAnnotationsAllowlist) || !has(self.template) || !has(self.template.extraArgs) || self.template.extraArgs.all(arg, arg != '--metric-annotations-allowlist' && !arg.startsWith('--metric-annotations-allowlist='))",message="spec.template.extraArgs must not set --metric-annotations-allowlist, since spec.metrics.metricAnnotationsAllowlist is set: write that field only"
// +kubebuilder:validation:XValidation:rule="!has(self.metrics) || !has(self.metrics.namespaces) || !has(self.template) || !has(self.template.extraArgs) || self.template.extraArgs.all(arg, arg != '--namespaces' && !arg.startsWith('--namespaces='))",message="spec.template.extraArgs must not set --namespaces, since spec.metrics.namespaces is set: write that field only"
// +kubebuilder:validation:XValidation:rule="!has(self.metrics) || !has(self.metrics.namespacesDenylist) || !has(self.template) || !has(self.template.extraArgs) || self.template.extraArgs.all(arg, arg != '--namespaces-denylist' && !arg.startsWith('--namespaces-denylist='))",message="spec.template.extraArgs must not set --namespaces-denylist, since spec.metrics.namespacesDenylist is set: write that field only"
// +kubebuilder:validation:XValidation:rule="!has(self.metrics) || !has(self.metrics.useAPIServerCache) || !has(self.template) || !has(self.template.extraArgs) || self.template.extraArgs.all(arg, arg != '--use-apiserver-cache' && !arg.startsWith('--use-apiserver-cache='))",message="spec.template.extraArgs must not set --use-apiserver-cache, since spec.metrics.useAPIServerCache is set: write that field only"
// +kubebuilder:validation:XValidation:rule="!has(self.metrics) || !has(self.metrics.customResourceState) || !has(self.template) || !has(self.template.extraArgs) || self.template.extraArgs.all(arg, !arg.startsWith('--custom-resource-state-'))",message="spec.template.extraArgs must not set --custom-resource-state-*, since spec.metrics.customResourceState is set: write that field only"
// +kubebuilder:validation:XValidation:rule="!has(self.template) || !has(self.template.goMemoryLimitPercent) || has(self.autoResources) && self.autoResources.limits || (has(self.resources) && has(self.resources.limits) && 'memory' in self.resources.limits)",message="spec.template.goMemoryLimitPercent is a part of the memory limit: set spec.resources.limits.memory or spec.autoResources.limits too, or remove goMemoryLimitPercent"
// +kubebuilder:validation:XValidation:rule="!has(self.metrics) || !has(self.metrics.tls) || (has(self.monitoring) && (has(self.monitoring.tlsConfig) || (has(self.monitoring.type) && self.monitoring.type == 'None')))",message="spec.metrics.tls needs spec.monitoring.tlsConfig, since nothing else says which certificate Prometheus is to trust: set its ca, or set spec.monitoring.type to None and make jobs of your own as docs/options.md says"
// +kubebuilder:validation:XValidation:rule="!has(self.monitoring) || !has(self.monitoring.tlsConfig) || (has(self.metrics) && has(self.metrics.tls))",message="spec.monitoring.tlsConfig must not be set without spec.metrics.tls, as kube-state-metrics serves without TLS then: set that as well, or remove tlsConfig"
// +kubebuilder:validation:XValidation:rule="!has(self.template) || !has(self.template.hostNetwork) || !self.template.hostNetwork || !has(self.metrics) || !has(self.metrics.authFilter) || !self.metrics.authFilter || has(self.metrics.tls)",message="spec.template.hostNetwork with spec.metrics.authFilter needs spec.metrics.tls, because the gate would send its token without TLS to whoever holds port 8080 of the node: set spec.metrics.tls, or remove hostNetwork or authFilter"
// +kubebuilder:validation:XValidation:rule="!has(self.sharding) || !has(self.sharding.auto) || !has(self.autoscaling) || self.autoscaling.mode != 'None'",message="spec.sharding.auto must not be set with spec.autoscaling.mode None, because nothing would scale the shards of another number of shards: remove auto, or set mode to HorizontalPodAutoscaler or Direct"
// +kubebuilder:validation:XValidation:rule="!has(self.autoResources) || !has(self.resources) || !has(self.resources.limits) || !('memory' in self.resources.limits)",message="spec.resources.limits.memory must not be set with spec.autoResources, which sets the memory limit: set spec.autoResources.maxMemory instead, and spec.autoResources.limits to false for no limit"
type KSMScaleSpec struct {
	// nodesPerMonitor is how many nodes of the cluster one kube-state-metrics pod is wanted for.
	// +kubebuilder:default=15
	// +kubebuilder:validation:Minimum=1
	// +optional
	NodesPerMonitor int32 `json:"nodesPerMonitor,omitempty"`
	// monitorImage is the kube-state-metrics image. Sharded releases before v2.20.0 can lose objects after a
	// relist (kubernetes/kube-state-metrics#3065) and keep every shard's objects in memory (#3003).
	// Its tag should name the version, with a digest or without: releases v2 from v2.13.0 on, and no others, are told to close
	// connections between scrapes, so that no scrape goes to a pod that leaves. Where it names none, have
	// --server-idle-timeout=1s among spec.template.extraArgs if the version has it, or less with scrapes every few seconds.
	// +kubebuilder:default="registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.20.0"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.matches('^[^\\\\s]+$')",message="spec.monitorImage must be an image reference without spaces, such as registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.20.0"
	// +optional
	MonitorImage string `json:"monitorImage,omitempty"`
	// namespace is where the shards run. It must exist, and cannot be changed.
	// +kubebuilder:default=monitoring
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="spec.namespace must be the name of a namespace: a DNS label of lower case letters, digits and '-', such as monitoring"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec.namespace cannot be changed: shards in another namespace are other shards; create a second KSMScale there and delete this one once that one is Ready"
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// nodes are which nodes of the cluster count.
	// +kubebuilder:default={}
	// +optional
	Nodes NodesConfig `json:"nodes,omitzero"`
	// resources are the resource requirements of each kube-state-metrics container.
	// +kubebuilder:validation:XValidation:rule="!has(self.claims)",message="spec.resources.claims is not supported: set requests and limits only"
	// +kubebuilder:validation:XValidation:rule="!has(self.requests) || !has(self.limits) || ['cpu', 'memory', 'ephemeral-storage'].all(name, !(name in self.requests) || !(name in self.limits) || quantity(string(self.requests[name])).compareTo(quantity(string(self.limits[name]))) <= 0)",message="spec.resources.requests must not be above spec.resources.limits: lower the request, or raise the limit"
	// +optional
	Resources corev1.ResourceRequirements `json:"resources,omitempty"`
	// autoResources lets requests and limits of the kube-state-metrics containers follow what they use. In spec.resources, a memory request
	// is a floor then, and what is set for CPU stays.
	// +optional
	AutoResources *AutoResources `json:"autoResources,omitempty"`
	// sharding divides the objects of the cluster among shards. Without it one set of pods exports them all. When
	// the number of shards changes, the shards there are go on running until the new ones have taken over.
	// +optional
	Sharding *ShardingConfig `json:"sharding,omitempty"`
	// autoscaling sets who scales the shards, and how fast they follow the wanted replicas.
	// +optional
	Autoscaling *AutoscalingConfig `json:"autoscaling,omitempty"`
	// monitoring is how Prometheus scrapes the shards.
	// +kubebuilder:default={}
	// +optional
	Monitoring MonitoringConfig `json:"monitoring,omitzero"`
	// metrics are what kube-state-metrics exports.
	// +optional
	Metrics MetricsConfig `json:"metrics,omitzero"`
	// template is what is added to the pods of each shard.
	// +optional
	Template *PodTemplate `json:"template,omitempty"`
	// commonLabels are added to every object that is created for this KSMScale, for policies that require a label such as team.
	// Pods do not get them, because a change would restart every shard: use spec.template.labels. Selectors do not change.
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(key, key.size() <= 317 && !format.qualifiedName().validate(key).hasValue())",message="each key of spec.commonLabels must be the key of a label, such as example.com/team"
	// +kubebuilder:validation:XValidation:rule="self.all(key, !key.startsWith('ksmscale.example.com/') && !(key in ['app.kubernetes.io/name', 'app.kubernetes.io/instance', 'app.kubernetes.io/component', 'ksmscale.example.com', 'shard-id', 'total-shards', 'sharding-enabled']))",message="spec.commonLabels must not set a label by which KSMScale finds its objects (app.kubernetes.io/name, /instance and /component, ksmscale.example.com and ksmscale.example.com/*, shard-id, total-shards, sharding-enabled): use a label of another name, such as example.com/team"
	// +optional
	CommonLabels map[string]LabelValue `json:"commonLabels,omitempty"`
	// commonAnnotations are added to every object that is created for this KSMScale, except pods: use spec.template.annotations.
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(key, key.size() <= 317 && !format.qualifiedName().validate(key).hasValue())",message="each key of spec.commonAnnotations must be the key of an annotation, such as example.com/owner"
	// +kubebuilder:validation:XValidation:rule="self.all(key, !key.startsWith('ksmscale.example.com/') && !key.startsWith('deployment.kubernetes.io/') && !key.startsWith('kubectl.kubernetes.io/'))",message="spec.commonAnnotations must not set ksmscale.example.com/*, deployment.kubernetes.io/* or kubectl.kubernetes.io/*, which KSMScale, the Deployment controller and kubectl write: use an annotation of another name, such as example.com/owner"
	// +optional
	CommonAnnotations map[string]AnnotationValue `json:"commonAnnotations,omitempty"`
}

// AnnotationValue is the value of an annotation.
//
// +kubebuilder:validation:MaxLength=4096
type AnnotationValue string

// ReplicationStrategy names a way to divide the wanted replicas among the shards.
//
// +kubebuilder:validation:Enum=round-robin;least-loaded;zone-aware
type ReplicationStrategy string

// The ways to divide replicas among shards.
const (
	// RoundRobin gives every shard the same number of replicas, and one more to the first ones if they do not
	// divide evenly.
	RoundRobin ReplicationStrategy = "round-robin"
	// LeastLoaded gives every shard its minimum, and each further replica to the shard with the most load per replica.
	LeastLoaded ReplicationStrategy = "least-loaded"
	// ZoneAware divides as RoundRobin does, and has the replicas of each shard spread evenly over zones.
	ZoneAware ReplicationStrategy = "zone-aware"
)

// ShardingConfig is how many shards there are, and how many replicas each may have.
//
// +kubebuilder:validation:XValidation:rule="self.maxReplicasPerShard == 0 || self.minReplicasPerShard <= self.maxReplicasPerShard",message="spec.sharding.minReplicasPerShard must not be above spec.sharding.maxReplicasPerShard: lower the minimum, or raise the maximum (0 is unlimited)"
type ShardingConfig struct {
	// enabled divides the objects among shardCount shards. If false, there is one shard with all of them.
	// +kubebuilder:default=false
	// +optional
	Enabled bool `json:"enabled"`
	// shardCount is the number of shards, which does not change with the size of the cluster. An object
	// belongs to the shard that its UID hashes to.
	// +kubebuilder:default=3
	// +kubebuilder:validation:XValidation:rule="self >= 2 && self <= 10",message="spec.sharding.shardCount must be from 2 to 10; for a single shard, set spec.sharding.enabled to false"
	// +optional
	ShardCount int32 `json:"shardCount"`
	// auto lets the number of shards follow the size of the cluster. shardCount is the number until there is a recommendation, and again
	// after auto has been removed.
	// +optional
	Auto *AutoSharding `json:"auto,omitempty"`
	// replicationStrategy is how the wanted replicas are divided among the shards: round-robin; or least-loaded, which
	// gives more of them to the shards whose pods use more CPU; or zone-aware, which divides as round-robin and has the
	// scheduler spread each shard evenly over the zones of the nodes, so that a shard with two replicas survives the
	// loss of a zone.
	// +kubebuilder:default=round-robin
	// +optional
	ReplicationStrategy ReplicationStrategy `json:"replicationStrategy,omitempty"`
	// minReplicasPerShard is the least number of replicas of each shard. Two keep a shard exported while a
	// node is drained.
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +optional
	MinReplicasPerShard int32 `json:"minReplicasPerShard,omitempty"`
	// maxReplicasPerShard is the greatest number of replicas of each shard; 0 is unlimited.
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
	// ModeHorizontalPodAutoscaler has a HorizontalPodAutoscaler for each shard, which reads external metrics.
	ModeHorizontalPodAutoscaler AutoscalingMode = "HorizontalPodAutoscaler"
	// ModeDirect has the controller scale the shards itself, without external metrics.
	ModeDirect AutoscalingMode = "Direct"
	// ModeNone leaves the replicas of the shards to others.
	ModeNone AutoscalingMode = "None"
)

// AutoscalingConfig is who scales the shards, and how fast.
type AutoscalingConfig struct {
	// mode is who sets the replicas of the shards. HorizontalPodAutoscaler makes one of these for each shard, which
	// reads the external metrics of the cluster. Direct has the controller scale the shards, by the same plan and
	// behavior, where another server has the external metrics. None leaves them to you: to HorizontalPodAutoscalers
	// or KEDA's ScaledObjects of your own, or to your hand. No change of the mode changes any replicas by itself.
	// +kubebuilder:default=HorizontalPodAutoscaler
	// +optional
	Mode AutoscalingMode `json:"mode,omitempty"`
	// behavior is that of each shard's HorizontalPodAutoscaler, and how fast mode Direct scales. Tolerances left out
	// are 0, so that a single replica more or less is acted on; all else left out has the defaults of a
	// HorizontalPodAutoscaler.
	// +optional
	Behavior *ScalingBehavior `json:"behavior,omitempty"`
}

// ScalingBehavior is an autoscaling/v2 HorizontalPodAutoscalerBehavior, with its bounds checked here already.
type ScalingBehavior struct {
	// scaleUp is how replicas are added.
	// +optional
	ScaleUp *ScalingRules `json:"scaleUp,omitempty"`
	// scaleDown is how replicas are removed.
	// +optional
	ScaleDown *ScalingRules `json:"scaleDown,omitempty"`
}

// ScalingRules is an autoscaling/v2 HPAScalingRules.
type ScalingRules struct {
	// stabilizationWindowSeconds is for how many seconds past recommendations count.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=3600
	// +optional
	StabilizationWindowSeconds *int32 `json:"stabilizationWindowSeconds,omitempty"`
	// selectPolicy says which of several policies decides.
	// +kubebuilder:validation:Enum=Max;Min;Disabled
	// +optional
	SelectPolicy string `json:"selectPolicy,omitempty"`
	// policies limit how many replicas are added or removed in a period.
	// +kubebuilder:validation:MaxItems=16
	// +listType=atomic
	// +optional
	Policies []ScalingPolicy `json:"policies,omitempty"`
	// tolerance is the ratio of wanted to current replicas, less one, below which nothing is done; 0 unless
	// set. API servers before Kubernetes 1.35 drop it unless a feature gate is on, and use 0.1.
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).compareTo(quantity('0')) >= 0",message="tolerance must be 0 or more, such as 0.1"
	// +optional
	Tolerance *resource.Quantity `json:"tolerance,omitempty"`
}

// ScalingPolicy is an autoscaling/v2 HPAScalingPolicy.
type ScalingPolicy struct {
	// type says what value counts: pods, or percent of the pods there are.
	// +kubebuilder:validation:Enum=Pods;Percent
	// +required
	Type string `json:"type,omitempty"`
	// value is how many of them may be added or removed in a period.
	// +kubebuilder:validation:Minimum=1
	// +required
	Value int32 `json:"value,omitempty"`
	// periodSeconds is the length of the period in seconds.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1800
	// +required
	PeriodSeconds int32 `json:"periodSeconds,omitempty"`
}
