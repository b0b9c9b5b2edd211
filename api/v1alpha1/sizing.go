package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
)

// AutoSharding makes the number of shards follow the measured size of the cluster.
//
// +kubebuilder:validation:XValidation:rule="self.minShards <= self.maxShards",message="spec.sharding.auto.minShards must not be above spec.sharding.auto.maxShards: lower the minimum, or raise the maximum"
type AutoSharding struct {
	// targetSeriesPerShard is the maximum number of series of a shard.
	// +kubebuilder:default=250000
	// +kubebuilder:validation:Minimum=1000
	// +kubebuilder:validation:Maximum=10000000
	// +optional
	TargetSeriesPerShard int64 `json:"targetSeriesPerShard,omitempty"`
	// targetScrapeBytes is the maximum size in bytes of an uncompressed scrape of a shard, for scrapers that refuse
	// larger ones. vmagent, for example, refuses more than 16777216 by default. If both targets are set, the larger
	// number of shards applies.
	// +kubebuilder:validation:Minimum=1000000
	// +optional
	TargetScrapeBytes int64 `json:"targetScrapeBytes,omitempty"`
	// minShards is the minimum number of shards.
	// +kubebuilder:default=2
	// +kubebuilder:validation:Minimum=2
	// +kubebuilder:validation:Maximum=64
	// +optional
	MinShards int32 `json:"minShards,omitempty"`
	// maxShards is the maximum number of shards.
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=2
	// +kubebuilder:validation:Maximum=64
	// +optional
	MaxShards int32 `json:"maxShards,omitempty"`
}

// AutoResources makes the memory and CPU of the kube-state-metrics containers follow what their processes use.
//
// +kubebuilder:validation:XValidation:rule="!has(self.minMemory) || !has(self.maxMemory) || quantity(string(self.minMemory)).compareTo(quantity(string(self.maxMemory))) <= 0",message="spec.autoResources.minMemory must not be above spec.autoResources.maxMemory: lower the minimum, or raise the maximum"
type AutoResources struct {
	// headroomPercent is added to the highest measured memory of a process. Until there is a measurement, it is added to
	// an estimate.
	// +kubebuilder:default=25
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=200
	// +optional
	HeadroomPercent int32 `json:"headroomPercent,omitempty"`
	// minMemory is the minimum memory request, such as 64Mi.
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).compareTo(quantity('16Mi')) >= 0",message="spec.autoResources.minMemory must be at least 16Mi, such as 64Mi"
	// +optional
	MinMemory *resource.Quantity `json:"minMemory,omitempty"`
	// maxMemory is the maximum memory request, such as 4Gi.
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).compareTo(quantity('16Mi')) >= 0",message="spec.autoResources.maxMemory must be at least 16Mi, such as 4Gi"
	// +optional
	MaxMemory *resource.Quantity `json:"maxMemory,omitempty"`
	// limits sets a memory limit of twice the request.
	// +kubebuilder:default=true
	// +optional
	Limits *bool `json:"limits,omitempty"`
}

// Recommendation is what KSMScale would choose for the size of the cluster. It changes in steps only.
type Recommendation struct {
	// shards is the number of shards.
	// +required
	Shards int32 `json:"shards"`
	// replicasPerShard is the number of replicas that keep a shard available while one of its pods is replaced.
	// +required
	ReplicasPerShard int32 `json:"replicasPerShard"`
	// memoryRequest is the memory request of a kube-state-metrics container.
	// +optional
	MemoryRequest *resource.Quantity `json:"memoryRequest,omitempty"`
	// memoryLimit is the memory limit of a kube-state-metrics container.
	// +optional
	MemoryLimit *resource.Quantity `json:"memoryLimit,omitempty"`
	// cpuRequest is the CPU request of a kube-state-metrics container.
	// +optional
	CPURequest *resource.Quantity `json:"cpuRequest,omitempty"`
	// series is the number of series of all shards at the last change of the recommendation.
	// +kubebuilder:validation:Minimum=1
	// +optional
	Series int64 `json:"series,omitempty"`
	// message has the figures behind the recommendation.
	// +kubebuilder:validation:MinLength=1
	// +optional
	Message string `json:"message,omitempty"`
	// replicaAdvice describes why fewer replicas than planned from the nodes are enough, if they are.
	// +kubebuilder:validation:MinLength=1
	// +optional
	ReplicaAdvice string `json:"replicaAdvice,omitempty"`
}
