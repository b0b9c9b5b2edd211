package v1alpha1

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Phase sums a KSMScale up in a word, for people; programs read the conditions.
//
// +kubebuilder:validation:Enum=Incomplete;Resharding;Scaling;Ready
type Phase string

// The phases of a KSMScale, the worse first.
const (
	// PhaseIncomplete is while some shard has no ready pod, so that its objects are missing from the metrics.
	PhaseIncomplete Phase = "Incomplete"
	// PhaseResharding is while the shards of another number of shards run as well, until those wanted have taken
	// over from them.
	PhaseResharding Phase = "Resharding"
	// PhaseScaling is while the pods are not as many as are wanted.
	PhaseScaling Phase = "Scaling"
	// PhaseReady is while every shard has a ready pod, and as many pods as are wanted.
	PhaseReady Phase = "Ready"
)

// MaxPodsInStatus is how many names a shard's status lists at most, so that a large shard does not make a large
// object.
const MaxPodsInStatus = 100

// KSMScaleStatus is what the controller last saw.
type KSMScaleStatus struct {
	// observedGeneration is the metadata.generation that the rest of the status is about.
	// +kubebuilder:validation:Minimum=1
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// phase is Incomplete while some shard has no ready pod, Resharding while shards of another number of shards
	// run as well, Scaling while the pods are not as many as are wanted, and Ready otherwise.
	// +optional
	Phase Phase `json:"phase,omitempty"`
	// nodeCount is the number of nodes counted.
	// +optional
	NodeCount int32 `json:"nodeCount,omitempty"`
	// nodes are the nodes of the cluster, and how many of them count.
	// +optional
	Nodes *NodesStatus `json:"nodes,omitempty"`
	// desiredReplicas is the number of pods wanted, of all shards. In mode None it is a recommendation.
	// +optional
	DesiredReplicas int32 `json:"desiredReplicas,omitempty"`
	// currentReplicas is the number of pods there are, ready or not, of all shards.
	// +optional
	CurrentReplicas int32 `json:"currentReplicas,omitempty"`
	// lastUpdated is when the status last changed.
	// +optional
	LastUpdated metav1.Time `json:"lastUpdated,omitzero"`
	// recommendation is what KSMScale would choose from the size of the cluster. spec.sharding.auto and spec.autoResources apply it.
	// +optional
	Recommendation *Recommendation `json:"recommendation,omitempty"`
	// shardingStatus is about each shard.
	// +optional
	ShardingStatus *ShardingStatus `json:"shardingStatus,omitempty"`
	// conditions are Ready, which is derived from Progressing, Covered, Schedulable, Autoscaling and Monitoring, and the
	// warnings VersionSupported and Evictable. All are True when all is well.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// NodesStatus is how many nodes there are.
type NodesStatus struct {
	// registered is the number of all nodes that the API server has.
	// +required
	Registered int32 `json:"registered"`
	// schedulable is the number of those that are not cordoned.
	// +required
	Schedulable int32 `json:"schedulable"`
	// counted is the number of those that spec.nodes has count, as in nodeCount.
	// +required
	Counted int32 `json:"counted"`
}

// ShardingStatus is what there is of each shard.
type ShardingStatus struct {
	// totalShards is the number of shards wanted; 1 without sharding.
	// +required
	TotalShards int32 `json:"totalShards"`
	// partitions are the numbers of shards that the objects are divided among: more than one while resharding, when
	// each partition exports every object. External metrics are served for all of them.
	// +listType=set
	// +optional
	Partitions []int32 `json:"partitions,omitempty"`
	// scaleUpPaused are the shards whose desired replicas do not rise, because the scheduler finds no node for one of
	// their pods. External metrics follow it.
	// +listType=map
	// +listMapKey=totalShards
	// +listMapKey=shard
	// +optional
	ScaleUpPaused []PausedShard `json:"scaleUpPaused,omitempty"`
	// shardDistribution has what there is of a wanted shard under its number, from "0".
	// +optional
	ShardDistribution map[string]ShardReplicas `json:"shardDistribution,omitempty"`
	// weights are the loads that the strategy least-loaded divides replicas by, of each partition that has been
	// measured. They change only when the load has changed for good.
	// +listType=map
	// +listMapKey=totalShards
	// +optional
	Weights []ShardWeights `json:"weights,omitempty"`
}

// MaxWeight is the greatest weight of a shard.
const MaxWeight = 1000

// ShardWeights are the loads of the shards of one partition, in relation to each other.
type ShardWeights struct {
	// totalShards is the number of shards of the partition.
	// +required
	TotalShards int32 `json:"totalShards"`
	// weights has the weight of each shard, from shard 0. A shard with the mean load has 10.
	// +kubebuilder:validation:items:Minimum=1
	// +kubebuilder:validation:items:Maximum=1000
	// +listType=atomic
	// +required
	Weights []int32 `json:"weights"`
}

// WeightsOf are the weights recorded of the shards of a partition, or nil if there are none.
func (s *KSMScaleStatus) WeightsOf(totalShards int32) []int32 {
	if s.ShardingStatus == nil {
		return nil
	}
	for _, of := range s.ShardingStatus.Weights {
		unusable := func(weight int32) bool { return weight < 1 || weight > MaxWeight }
		if of.TotalShards == totalShards && len(of.Weights) == int(totalShards) && !slices.ContainsFunc(of.Weights, unusable) {
			return of.Weights
		}
	}
	return nil
}

// PausedShard is a shard whose desired replicas do not rise for now.
type PausedShard struct {
	// totalShards is the number of shards of its partition.
	// +required
	TotalShards int32 `json:"totalShards"`
	// shard is its number, from 0.
	// +required
	Shard int32 `json:"shard"`
	// replicas is the most that is desired, unless the minimum is more.
	// +required
	Replicas int32 `json:"replicas"`
}

// ShardReplicas is what there is of one shard.
type ShardReplicas struct {
	// replicas is the number of pods, ready or not. Pods that are being deleted do not count.
	// +required
	Replicas int32 `json:"replicas"`
	// pods are the names of these pods in order, the first 100 of them.
	// +listType=atomic
	// +optional
	Pods []string `json:"pods"`
	// ready is the number of ready pods.
	// +required
	Ready int32 `json:"ready"`
}

// Condition types of a KSMScale. Each is True when all is well.
const (
	// ConditionReady is derived from the others except the warnings VersionSupported and Evictable: True when all of them are and nothing is under way.
	ConditionReady = "Ready"
	// ConditionProgressing is False when the wanted objects or pods cannot be made. As that of a Deployment,
	// it is True both while work is under way and when there is none left; the reason tells.
	ConditionProgressing = "Progressing"
	// ConditionCovered is False while some shard has no ready pod. While resharding, any complete partition will do.
	ConditionCovered = "Covered"
	// ConditionSchedulable is False while the scheduler finds no node for some pod.
	ConditionSchedulable = "Schedulable"
	// ConditionAutoscaling is False while replicas do not follow the nodes.
	ConditionAutoscaling = "Autoscaling"
	// ConditionMonitoring is False while what spec.monitoring asks for cannot be made.
	ConditionMonitoring = "Monitoring"
	// ConditionVersionSupported is False while some shard runs a kube-state-metrics that is known for bugs in sharding,
	// and Unknown until all have said their version.
	ConditionVersionSupported = "VersionSupported"
	// ConditionEvictable is False while a second PodDisruptionBudget selects pods of a shard, so that evicting them always
	// fails, and Unknown until PodDisruptionBudgets of others have been listed.
	ConditionEvictable = "Evictable"
)

// Reasons of the conditions. Reasons of waiting containers (such as ImagePullBackOff) and of
// HorizontalPodAutoscalers (such as FailedGetExternalMetric) are passed on as they are.
const (
	// ReasonAsPlanned is for Ready: the calculated number of replicas is running.
	ReasonAsPlanned = "AsPlanned"
	// ReasonWithinTolerance is for Ready: the replicas that run differ from those wanted by no more than a tolerance of
	// spec.autoscaling.behavior.
	ReasonWithinTolerance = "WithinTolerance"
	// ReasonManualScaling is for Autoscaling: spec.autoscaling.mode None leaves the replicas to others. It is for Ready
	// if they have chosen another number than was calculated.
	ReasonManualScaling = "ManualScaling"
	// ReasonAtMinimum is for Ready: fewer replicas were calculated than the minimum, which is running.
	ReasonAtMinimum = "AtMinimum"
	// ReasonAtMaximum is for Ready: more replicas were calculated than the maximum, which is running.
	ReasonAtMaximum = "AtMaximum"

	// ReasonComplete is for Progressing: nothing is left to do.
	ReasonComplete = "Complete"
	// ReasonScaling is for Progressing: the pods are not yet as many as are wanted.
	ReasonScaling = "Scaling"
	// ReasonResharding is for Progressing: shards of another number of shards run until those wanted have taken over.
	ReasonResharding = "Resharding"
	// ReasonRollingOut is for Progressing: some Deployment replaces its pods, or waits for its turn to.
	ReasonRollingOut = "RollingOut"
	// ReasonPodsNotReady is for Progressing: the pods are as many as are wanted, but not all of them are ready.
	ReasonPodsNotReady = "PodsNotReady"
	// ReasonNamespaceNotFound is for Progressing: spec.namespace does not exist.
	ReasonNamespaceNotFound = "NamespaceNotFound"
	// ReasonNamespaceTerminating is for Progressing: spec.namespace is being deleted.
	ReasonNamespaceTerminating = "NamespaceTerminating"
	// ReasonForbidden is for Progressing, Autoscaling, Monitoring and Evictable: the controller lacks a right.
	ReasonForbidden = "Forbidden"
	// ReasonNotOwned is for Progressing and Monitoring: an object of a wanted name exists and belongs to someone else.
	ReasonNotOwned = "NotOwned"
	// ReasonApplyFailed is for Progressing and Monitoring: the API server refused an object for any other reason.
	ReasonApplyFailed = "ApplyFailed"

	// ReasonDeploymentPaused is for Progressing: someone has paused a Deployment, whose pods need to be replaced.
	ReasonDeploymentPaused = "DeploymentPaused"
	// ReasonListFailed is for Autoscaling, Monitoring and Evictable: the controller cannot list objects for any other reason
	// than that it lacks a right.
	ReasonListFailed = "ListFailed"

	// ReasonAllShardsReady is for Covered: each shard has a ready pod.
	ReasonAllShardsReady = "AllShardsReady"
	// ReasonPreviousShardsReady is for Covered: not each shard that is wanted has a ready pod, but each of those that
	// they will take over from.
	ReasonPreviousShardsReady = "PreviousShardsReady"
	// ReasonShardsNotReady is for Covered: some shard has no ready pod.
	ReasonShardsNotReady = "ShardsNotReady"

	// ReasonAllPodsScheduled is for Schedulable: no pod waits for a node.
	ReasonAllPodsScheduled = "AllPodsScheduled"
	// ReasonFeedbackLoop is for Schedulable: no pod waits for a node, but a cluster autoscaler would add nodes for pods
	// and the nodes would ask for more pods, without end.
	ReasonFeedbackLoop = "FeedbackLoop"
	// ReasonNoZones is for Schedulable: no pod waits for a node, and no node has a zone to spread replicas over.
	ReasonNoZones = "NoZones"
	// ReasonUnschedulable is for Schedulable: the scheduler found no node for some pod.
	ReasonUnschedulable = "Unschedulable"

	// ReasonFollowingNodes is for Autoscaling: replicas follow the nodes.
	ReasonFollowingNodes = "FollowingNodes"
	// ReasonScaleFailed is for Autoscaling: the API server refused to scale a Deployment.
	ReasonScaleFailed = "ScaleFailed"
	// ReasonLeastLoaded is for Autoscaling: replicas follow the nodes, and are divided by the load measured.
	ReasonLeastLoaded = "LeastLoaded"
	// ReasonLoadNotMeasured is for Autoscaling: replicas follow the nodes, and are divided round-robin until there is a
	// load to divide them by.
	ReasonLoadNotMeasured = "LoadNotMeasured"
	// ReasonStarting is for Autoscaling, Unknown: some HorizontalPodAutoscaler has not acted yet, or the controller has not
	// listed those of others yet. It is for Evictable, Unknown, until PodDisruptionBudgets of others have been listed.
	ReasonStarting = "Starting"
	// ReasonRegistrationPending is for Autoscaling: the APIService of external metrics does not exist yet.
	ReasonRegistrationPending = "RegistrationPending"
	// ReasonRegistrationFailed is for Autoscaling: the APIService of external metrics could not be created.
	ReasonRegistrationFailed = "RegistrationFailed"
	// ReasonForeignAPIService is for Autoscaling: external metrics are served by another adapter.
	ReasonForeignAPIService = "ForeignAPIService"
	// ReasonForeignAutoscaler is for Autoscaling: someone else's HorizontalPodAutoscaler scales some Deployment as well.
	ReasonForeignAutoscaler = "ForeignAutoscaler"
	// ReasonToleranceIgnored is for Autoscaling: the API server dropped the tolerance of 0, so steps of less
	// than a tenth of the replicas are not acted on.
	ReasonToleranceIgnored = "ToleranceIgnored"

	// ReasonCreated is for Monitoring: the objects for the Prometheus Operator are there.
	ReasonCreated = "Created"
	// ReasonDisabled is for Monitoring: none are asked for.
	ReasonDisabled = "Disabled"
	// ReasonCRDNotInstalled is for Monitoring: spec.monitoring names a kind that the cluster does not have.
	ReasonCRDNotInstalled = "CRDNotInstalled"
	// ReasonOperatorNotInstalled is for Monitoring: the cluster does not have the default kind, so no object is created.
	ReasonOperatorNotInstalled = "OperatorNotInstalled"

	// ReasonNoKnownBugs is for VersionSupported: no bug in sharding is known of the versions that run.
	ReasonNoKnownBugs = "NoKnownBugs"
	// ReasonKnownBugs is for VersionSupported: a version runs that can lose objects of its shard, or needs too much
	// memory.
	ReasonKnownBugs = "KnownBugs"
	// ReasonVersionUnknown is for VersionSupported, Unknown: some kube-state-metrics has not said its version.
	ReasonVersionUnknown = "VersionUnknown"

	// ReasonSinglePodDisruptionBudget is for Evictable: each pod has one PodDisruptionBudget.
	ReasonSinglePodDisruptionBudget = "SinglePodDisruptionBudget"
	// ReasonMultiplePodDisruptionBudgets is for Evictable: some pod has more than one PodDisruptionBudget.
	ReasonMultiplePodDisruptionBudgets = "MultiplePodDisruptionBudgets"
)
