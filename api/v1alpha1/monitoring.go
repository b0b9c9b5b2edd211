package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// MonitoringType names the kind of object that has a Prometheus of the Prometheus Operator scrape the shards.
//
// +kubebuilder:validation:Enum=ScrapeConfig;ServiceMonitor;None
type MonitoringType string

// The kinds of objects for the Prometheus Operator.
const (
	// MonitoringScrapeConfig scrapes each shard's Service, so that each series is stored once.
	MonitoringScrapeConfig MonitoringType = "ScrapeConfig"
	// MonitoringServiceMonitor scrapes every ready pod: each series is stored once for each replica, and rules make one
	// of them again.
	MonitoringServiceMonitor MonitoringType = "ServiceMonitor"
	// MonitoringNone leaves scraping to you.
	MonitoringNone MonitoringType = "None"
)

// MonitoringConfig is how Prometheus scrapes the shards.
//
// +kubebuilder:validation:XValidation:rule="!has(self.scrapeTimeout) || !has(self.interval) || duration(self.scrapeTimeout) <= duration(self.interval)",message="spec.monitoring.scrapeTimeout must not be above spec.monitoring.interval: lower the timeout, or raise the interval"
type MonitoringConfig struct {
	// type is the kind of object that is made for the Prometheus Operator: ScrapeConfig, which scrapes each shard's
	// Service; ServiceMonitor, which scrapes every ready pod and needs rules to make one series of those of the replicas;
	// or None. Unless set, it is ScrapeConfig where that is installed, and otherwise nothing.
	// +optional
	Type MonitoringType `json:"type,omitempty"`
	// interval is the longest time between two scrapes of a shard, such as 30s. A new pod has to be ready for that
	// long before it replaces another one, and new shards for twice that long before they replace others.
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('10m')",message="spec.monitoring.interval must be from 1s to 10m, such as 30s"
	// +optional
	Interval metav1.Duration `json:"interval,omitzero"`
	// scrapeTimeout is how long a scrape may take; that of Prometheus unless set. It must not be above interval.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('100ms')",message="spec.monitoring.scrapeTimeout must be at least 100ms, such as 10s"
	// +optional
	ScrapeTimeout *metav1.Duration `json:"scrapeTimeout,omitempty"`
	// labels are added to the objects for the Prometheus Operator, such as release: kube-prometheus-stack, for a
	// Prometheus that selects them by it.
	// +kubebuilder:validation:MaxProperties=32
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// rules makes a PrometheusRule with the recording rules and alerts of KSMScale. They are about all KSMScales, so
	// that the first one by name that asks for them has it; with those that a ServiceMonitor needs if any has one.
	// +optional
	Rules bool `json:"rules,omitempty"`
}
