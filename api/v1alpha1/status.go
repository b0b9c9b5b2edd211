package v1alpha1

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Phase summarizes a KSMScale in one word, for people. Programs read the conditions.
//
// +kubebuilder:validation:Enum=Incomplete;Resharding;RollingOut;Scaling;Degraded;Ready
type Phase string

// The phases of a KSMScale. The first one that applies counts.
const (
	// PhaseIncomplete means that some shard has no ready pod, so its objects are missing from the metrics.
	PhaseIncomplete Phase = "Incomplete"
	// PhaseResharding means that a previous partition still runs, until the desired one takes over.
	PhaseResharding Phase = "Resharding"
	// PhaseRollingOut means that some shard replaces its pods, or waits for its turn to do so.
	PhaseRollingOut Phase = "RollingOut"
	// PhaseScaling means that the number of pods of some shard is not the desired one, that a scale-up is paused, or that
	// an autoscaler has not acted yet.
	PhaseScaling Phase = "Scaling"
	// PhaseDegraded means that the condition Ready is not True for any other reason.
	PhaseDegraded Phase = "Degraded"
	// PhaseReady means that the condition Ready is True, and that every shard has its desired number of pods.
	PhaseReady Phase = "Ready"
)

// MaxPodsInStatus is the maximum number of pod names in the status of a shard. It keeps the object of a large shard
// small.
const MaxPodsInStatus = 100

// MaxVersionLength is the maximum length of the version in the status.
const MaxVersionLength = 128

// KSMScaleStatus is the state that the controller observed last.
type KSMScaleStatus struct {
	// observedGeneration is the metadata.generation that the rest of the status describes.
	// +kubebuilder:validation:Minimum=1
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// phase is the first of these that applies. Incomplete: some shard has no ready pod. Resharding: a previous partition
	// still runs. RollingOut: some shard replaces its pods. Scaling: the number of pods is not the desired one.
	// Degraded: the condition Ready is not True for another reason. Otherwise it is Ready.
	// +optional
	Phase Phase `json:"phase,omitempty"`
	// ready is the number of ready pods and of all pods, such as 3/5. While resharding, it counts every partition.
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=21
	// +optional
	Ready string `json:"ready,omitempty"`
	// nodeCount is the number of nodes that spec.nodes selects.
	// +optional
	NodeCount int32 `json:"nodeCount,omitempty"`
	// nodes has the numbers of all nodes of the cluster.
	// +optional
	Nodes *NodesStatus `json:"nodes,omitempty"`
	// desiredReplicas is the desired number of pods of all shards. In mode None it is a recommendation.
	// +optional
	DesiredReplicas int32 `json:"desiredReplicas,omitempty"`
	// currentReplicas is the number of pods of all shards, ready or not. While resharding, it counts every partition.
	// +optional
	CurrentReplicas int32 `json:"currentReplicas,omitempty"`
	// version is the version of kube-state-metrics that the pods report, such as v2.20.0. Several versions have a comma
	// between them. If the controller cannot read any pod, it is the version that the tag of spec.monitorImage names.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Version string `json:"version,omitempty"`
	// lastUpdated is the time of the last change of the status.
	// +optional
	LastUpdated metav1.Time `json:"lastUpdated,omitzero"`
	// recommendation is what KSMScale would choose for the size of the cluster. spec.sharding.auto and
	// spec.autoResources apply it.
	// +optional
	Recommendation *Recommendation `json:"recommendation,omitempty"`
	// missingObjects is at least how many objects of the cluster no shard exports. Gates count them every minute. It is
	// missing until they have counted, and if no resource can be compared.
	// +kubebuilder:validation:Minimum=0
	// +optional
	MissingObjects *int64 `json:"missingObjects,omitempty"`
	// shardingStatus describes the shards.
	// +optional
	ShardingStatus *ShardingStatus `json:"shardingStatus,omitempty"`
	// conditions are True when all is well. Ready is derived from Progressing, Covered, Schedulable, Autoscaling,
	// Monitoring and ObjectsExported. VersionSupported, Evictable, Sized and Scrapable are warnings.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// NodesStatus has numbers of nodes, next to nodeCount.
type NodesStatus struct {
	// registered is the number of all nodes of the cluster.
	// +required
	Registered int32 `json:"registered"`
	// schedulable is the number of nodes that are not cordoned.
	// +required
	Schedulable int32 `json:"schedulable"`
}

// ShardingStatus describes the shards.
type ShardingStatus struct {
	// totalShards is the desired number of shards; 1 without sharding.
	// +required
	TotalShards int32 `json:"totalShards"`
	// partitions has the number of shards of each partition. While resharding there are several partitions, and each
	// exports every object. External metrics are served for all of them.
	// +listType=set
	// +optional
	Partitions []int32 `json:"partitions,omitempty"`
	// scaleUpPaused are the shards whose scale-up is paused, because the scheduler finds no node for one of their pods.
	// External metrics follow it.
	// +listType=map
	// +listMapKey=totalShards
	// +listMapKey=shard
	// +optional
	ScaleUpPaused []PausedShard `json:"scaleUpPaused,omitempty"`
	// shardDistribution has the replicas of each shard of the desired partition, under the number of the shard from "0".
	// +optional
	ShardDistribution map[string]ShardReplicas `json:"shardDistribution,omitempty"`
	// previousShardDistribution has the replicas of each shard of the other partitions while resharding. These partitions
	// serve until the desired one takes over. An example of a key is "0-of-3".
	// +optional
	PreviousShardDistribution map[string]ShardReplicas `json:"previousShardDistribution,omitempty"`
	// weights are the loads by which the strategy least-loaded divides replicas, for each measured partition. They
	// change only after a lasting change of the load.
	// +listType=map
	// +listMapKey=totalShards
	// +optional
	Weights []ShardWeights `json:"weights,omitempty"`
}

// MaxWeight is the maximum weight of a shard.
const MaxWeight = 1000

// ShardWeights are the loads of the shards of one partition, relative to each other.
type ShardWeights struct {
	// totalShards is the number of shards of the partition.
	// +required
	TotalShards int32 `json:"totalShards"`
	// weights has the weight of each shard, from shard 0. The weight of the mean load is 10.
	// +kubebuilder:validation:items:Minimum=1
	// +kubebuilder:validation:items:Maximum=1000
	// +listType=atomic
	// +required
	Weights []int32 `json:"weights"`
}

// WeightsOf returns the weights of the shards of a partition, or nil if the status has none.
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

// PausedShard is a shard whose scale-up is paused.
type PausedShard struct {
	// totalShards is the number of shards of its partition.
	// +required
	TotalShards int32 `json:"totalShards"`
	// shard is the number of the shard, from 0.
	// +required
	Shard int32 `json:"shard"`
	// replicas is the maximum of the desired replicas of the shard. A larger minReplicasPerShard takes precedence.
	// +required
	Replicas int32 `json:"replicas"`
}

// ShardReplicas has the pods of one shard.
type ShardReplicas struct {
	// replicas is the number of pods, ready or not. Terminating pods do not count.
	// +required
	Replicas int32 `json:"replicas"`
	// pods has the sorted names of these pods, at most the first 100.
	// +listType=atomic
	// +optional
	Pods []string `json:"pods"`
	// ready is the number of ready pods.
	// +required
	Ready int32 `json:"ready"`
}

// Condition types of a KSMScale. Each is True when all is well.
const (
	// ConditionReady is derived from the other conditions except the warnings VersionSupported, Evictable, Sized
	// and Scrapable. It is True when all of them are True and no work is in progress.
	ConditionReady = "Ready"
	// ConditionProgressing is False when the controller cannot create the desired objects or pods. As in a Deployment,
	// it is True both while work is in progress and after the work is done. The reason shows the difference.
	ConditionProgressing = "Progressing"
	// ConditionCovered is False while some shard has no ready pod. While resharding, it is True if one partition is
	// complete.
	ConditionCovered = "Covered"
	// ConditionSchedulable is False while the scheduler finds no node for some pod.
	ConditionSchedulable = "Schedulable"
	// ConditionAutoscaling is False while replicas do not follow the nodes.
	ConditionAutoscaling = "Autoscaling"
	// ConditionMonitoring is False while the controller cannot create the objects of spec.monitoring.
	ConditionMonitoring = "Monitoring"
	// ConditionVersionSupported is False while some shard runs a version of kube-state-metrics with known bugs in
	// sharding, or while no tested version knows some exported resource. It is Unknown until every shard reports its version.
	ConditionVersionSupported = "VersionSupported"
	// ConditionEvictable is False while a second PodDisruptionBudget selects pods of a shard, because evicting them then
	// always fails. It is Unknown until the controller has listed the PodDisruptionBudgets of others.
	ConditionEvictable = "Evictable"
	// ConditionSized is False while a VerticalPodAutoscaler replaces the resources of the pods. It exists only with
	// spec.autoResources or such a VerticalPodAutoscaler. It is Unknown until the controller has listed
	// VerticalPodAutoscalers.
	ConditionSized = "Sized"
	// ConditionScrapable is False while the scrape of some shard is near a limit in spec.monitoring. It exists only with
	// such a limit.
	ConditionScrapable = "Scrapable"
	// ConditionObjectsExported is False while the shards export fewer objects than the cluster has, or objects of other
	// shards. It exists once gates have counted objects. If it is False, Ready is False.
	ConditionObjectsExported = "ObjectsExported"
)

// Reasons of the conditions. Other reasons come from waiting containers, such as ImagePullBackOff, and from
// HorizontalPodAutoscalers, such as FailedGetExternalMetric.
const (
	// ReasonAsPlanned is for Ready, True: the calculated number of replicas runs.
	ReasonAsPlanned = "AsPlanned"
	// ReasonWithinTolerance is for Ready, True: the replicas that run differ from the desired replicas by at most a
	// tolerance of spec.autoscaling.behavior.
	ReasonWithinTolerance = "WithinTolerance"
	// ReasonManualScaling is for Autoscaling, True: spec.autoscaling.mode None leaves the replicas to others. It is for
	// Ready, True, if their number of replicas is not the calculated one.
	ReasonManualScaling = "ManualScaling"
	// ReasonAtMinimum is for Ready, True: the calculated number of replicas is below the minimum, and the minimum runs.
	ReasonAtMinimum = "AtMinimum"
	// ReasonAtMaximum is for Ready, True: the calculated number of replicas is above the maximum, and the maximum runs.
	ReasonAtMaximum = "AtMaximum"

	// ReasonComplete is for Progressing, True: all work is done.
	ReasonComplete = "Complete"
	// ReasonScaling is for Progressing, True: the number of pods is not the desired one yet.
	ReasonScaling = "Scaling"
	// ReasonScaleDownPending is for Progressing and Ready, True: every shard has its desired pods, and some have more, which
	// their autoscaler removes after its stabilization window.
	ReasonScaleDownPending = "ScaleDownPending"
	// ReasonResharding is for Progressing, True: a previous partition runs until the desired one takes over.
	ReasonResharding = "Resharding"
	// ReasonRollingOut is for Progressing, True: some Deployment replaces its pods, or waits for its turn to do so.
	ReasonRollingOut = "RollingOut"
	// ReasonPodsNotReady is for Progressing, True: the number of pods is the desired one, but some pods are not ready.
	ReasonPodsNotReady = "PodsNotReady"
	// ReasonNamespaceNotFound is for Progressing, False: spec.namespace does not exist.
	ReasonNamespaceNotFound = "NamespaceNotFound"
	// ReasonNamespaceTerminating is for Progressing, False: spec.namespace is being deleted.
	ReasonNamespaceTerminating = "NamespaceTerminating"
	// ReasonForbidden is for Progressing, Autoscaling and Monitoring, False, and for Evictable and Sized, Unknown: the
	// controller lacks a right.
	ReasonForbidden = "Forbidden"
	// ReasonNotOwned is for Progressing and Monitoring, False: an object with the desired name exists and belongs to
	// someone else.
	ReasonNotOwned = "NotOwned"
	// ReasonApplyFailed is for Progressing and Monitoring, False: the API server refused an object for another reason.
	ReasonApplyFailed = "ApplyFailed"

	// ReasonDeploymentPaused is for Progressing, False: someone has paused a Deployment whose pods must be replaced.
	ReasonDeploymentPaused = "DeploymentPaused"
	// ReasonListFailed is for Autoscaling and Monitoring, False, and for Evictable and Sized, Unknown: the controller
	// cannot list objects, although it has the right.
	ReasonListFailed = "ListFailed"

	// ReasonAllShardsReady is for Covered, True: every shard has a ready pod.
	ReasonAllShardsReady = "AllShardsReady"
	// ReasonPreviousShardsReady is for Covered, True: some shard of the desired partition has no ready pod, but every
	// shard of a previous partition has one.
	ReasonPreviousShardsReady = "PreviousShardsReady"
	// ReasonShardsNotReady is for Covered, False: some shard has no ready pod.
	ReasonShardsNotReady = "ShardsNotReady"

	// ReasonAllPodsScheduled is for Schedulable, True: every pod has a node.
	ReasonAllPodsScheduled = "AllPodsScheduled"
	// ReasonFeedbackLoop is for Schedulable, True: every pod has a node. With a cluster autoscaler, however, pods would
	// add nodes and nodes would add pods without end.
	ReasonFeedbackLoop = "FeedbackLoop"
	// ReasonNoZones is for Schedulable, True: every pod has a node, but the nodes have no zones to spread replicas over.
	ReasonNoZones = "NoZones"
	// ReasonUnschedulable is for Schedulable, False: the scheduler found no node for some pod.
	ReasonUnschedulable = "Unschedulable"

	// ReasonFollowingNodes is for Autoscaling, True: replicas follow the nodes.
	ReasonFollowingNodes = "FollowingNodes"
	// ReasonScaleFailed is for Autoscaling, False: the API server refused to scale a Deployment.
	ReasonScaleFailed = "ScaleFailed"
	// ReasonLeastLoaded is for Autoscaling, True: replicas follow the nodes, divided by the measured load.
	ReasonLeastLoaded = "LeastLoaded"
	// ReasonLoadNotMeasured is for Autoscaling, True: replicas follow the nodes, divided round-robin until the load is
	// measured.
	ReasonLoadNotMeasured = "LoadNotMeasured"
	// ReasonStarting is for Autoscaling, Unknown, until every HorizontalPodAutoscaler has acted and the controller has
	// listed the ones of others. It is for Evictable, Unknown, until the controller has listed the PodDisruptionBudgets of
	// others, and for Sized, Unknown, until it has listed VerticalPodAutoscalers.
	ReasonStarting = "Starting"
	// ReasonRegistrationPending is for Autoscaling, False: the APIService of external metrics does not exist yet, or has
	// no status yet.
	ReasonRegistrationPending = "RegistrationPending"
	// ReasonRegistrationFailed is for Autoscaling, False: the controller cannot create the APIService of external
	// metrics.
	ReasonRegistrationFailed = "RegistrationFailed"
	// ReasonForeignAPIService is for Autoscaling, False: another adapter serves external metrics.
	ReasonForeignAPIService = "ForeignAPIService"
	// ReasonForeignAutoscaler is for Autoscaling, False: the HorizontalPodAutoscaler of someone else scales some
	// Deployment too.
	ReasonForeignAutoscaler = "ForeignAutoscaler"
	// ReasonToleranceIgnored is for Autoscaling, True: the API server dropped the tolerance of 0. The
	// HorizontalPodAutoscalers then ignore steps of less than a tenth of the replicas.
	ReasonToleranceIgnored = "ToleranceIgnored"

	// ReasonCreated is for Monitoring, True: the objects for the Prometheus Operator exist.
	ReasonCreated = "Created"
	// ReasonDisabled is for Monitoring, True: spec.monitoring.type is None.
	ReasonDisabled = "Disabled"
	// ReasonCRDNotInstalled is for Monitoring, False: spec.monitoring names a kind that the cluster does not have.
	ReasonCRDNotInstalled = "CRDNotInstalled"
	// ReasonOperatorNotInstalled is for Monitoring, True: the cluster does not have the default kind, so the controller
	// creates no object.
	ReasonOperatorNotInstalled = "OperatorNotInstalled"

	// ReasonNoKnownBugs is for VersionSupported, True: the running versions have no known bugs in sharding.
	ReasonNoKnownBugs = "NoKnownBugs"
	// ReasonKnownBugs is for VersionSupported, False: a running version can lose objects of its shard, or needs too much
	// memory.
	ReasonKnownBugs = "KnownBugs"
	// ReasonUnknownResources is for VersionSupported, False: kube-state-metrics does not know some exported resource.
	ReasonUnknownResources = "UnknownResources"
	// ReasonVersionUnknown is for VersionSupported, Unknown: some kube-state-metrics has not reported its version.
	ReasonVersionUnknown = "VersionUnknown"

	// ReasonSinglePodDisruptionBudget is for Evictable, True: each pod has one PodDisruptionBudget.
	ReasonSinglePodDisruptionBudget = "SinglePodDisruptionBudget"
	// ReasonMultiplePodDisruptionBudgets is for Evictable, False: some pod has more than one PodDisruptionBudget.
	ReasonMultiplePodDisruptionBudgets = "MultiplePodDisruptionBudgets"

	// ReasonFollowingUsage is for Sized, True: the resources of the pods follow what they use.
	ReasonFollowingUsage = "FollowingUsage"
	// ReasonForeignVerticalPodAutoscaler is for Sized, False: a VerticalPodAutoscaler replaces the resources of the pods
	// of some shard.
	ReasonForeignVerticalPodAutoscaler = "ForeignVerticalPodAutoscaler"

	// ReasonWithinLimits is for Scrapable, True: the scrape of each shard is smaller and faster than the limits.
	ReasonWithinLimits = "WithinLimits"
	// ReasonNearBodySizeLimit is for Scrapable, False: the scrape of some shard has more than three quarters of
	// spec.monitoring.bodySizeLimit.
	ReasonNearBodySizeLimit = "NearBodySizeLimit"
	// ReasonNearScrapeTimeout is for Scrapable, False: the scrape of some shard takes more than half of
	// spec.monitoring.scrapeTimeout.
	ReasonNearScrapeTimeout = "NearScrapeTimeout"
	// ReasonNotMeasured is for Scrapable, Unknown: no gate has measured a scrape yet.
	ReasonNotMeasured = "NotMeasured"

	// ReasonAllObjectsExported is for ObjectsExported, True: the shards export each object of the compared resources.
	ReasonAllObjectsExported = "AllObjectsExported"
	// ReasonObjectsMissing is for ObjectsExported, False: the shards export fewer objects than the cluster has, in three
	// counts in a row.
	ReasonObjectsMissing = "ObjectsMissing"
	// ReasonForeignObjects is for ObjectsExported, False: a kube-state-metrics exposes objects of another shard.
	ReasonForeignObjects = "ForeignObjects"
	// ReasonNotCompared is for ObjectsExported, Unknown: no resource can be compared with the cluster, for example with
	// spec.metrics.objectLimit.
	ReasonNotCompared = "NotCompared"
	// ReasonNotCounted is for ObjectsExported, Unknown: the gates of some shard have not counted objects for ten minutes.
	ReasonNotCounted = "NotCounted"
)
