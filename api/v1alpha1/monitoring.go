package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// MonitoringType names the kind of object that configures the Prometheus Operator to scrape the shards.
//
// +kubebuilder:validation:Enum=ScrapeConfig;ServiceMonitor;None
type MonitoringType string

// The kinds of objects for the Prometheus Operator.
const (
	// MonitoringScrapeConfig scrapes the Service of each shard, so Prometheus stores each series once.
	MonitoringScrapeConfig MonitoringType = "ScrapeConfig"
	// MonitoringServiceMonitor scrapes every ready pod. Prometheus stores each series once per replica, and recording
	// rules join them into one series.
	MonitoringServiceMonitor MonitoringType = "ServiceMonitor"
	// MonitoringNone creates no object: you configure the scraping.
	MonitoringNone MonitoringType = "None"
)

// MonitoringConfig configures how Prometheus scrapes the shards.
//
// +kubebuilder:validation:XValidation:rule="!has(self.scrapeTimeout) || !has(self.interval) || !self.scrapeTimeout.matches('^([0-9]{1,6}([.][0-9]{1,6})?(ns|us|ms|s|m|h))+$') || !self.interval.matches('^([0-9]{1,6}([.][0-9]{1,6})?(ns|us|ms|s|m|h))+$') || duration(self.scrapeTimeout) <= duration(self.interval)",message="spec.monitoring.scrapeTimeout must not be above spec.monitoring.interval: lower the timeout, or raise the interval"
type MonitoringConfig struct {
	// type is the kind of object to create for the Prometheus Operator: ScrapeConfig, ServiceMonitor or None.
	// ScrapeConfig scrapes the Service of each shard. ServiceMonitor scrapes every ready pod, and needs recording rules
	// that join the series of the replicas. The default is ScrapeConfig if the cluster has that kind, and None
	// otherwise.
	// +optional
	Type MonitoringType `json:"type,omitempty"`
	// interval is the longest time between two scrapes of a shard, such as 30s. A new pod must be ready for this time
	// before it replaces another pod. New shards must be ready for twice this time before they replace other shards.
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,6})?(ns|us|ms|s|m|h))+$')",message="spec.monitoring.interval must be a number with a unit, such as 30s or 1m: write 30s instead of 30"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^([0-9]{1,6}([.][0-9]{1,6})?(ns|us|ms|s|m|h))+$') || duration(self) >= duration('1s') && duration(self) <= duration('10m')",message="spec.monitoring.interval must be from 1s to 10m, such as 30s"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^([0-9]{1,6}([.][0-9]{1,6})?(ns|us|ms|s|m|h))+$') || timestamp(0) + duration(self) == timestamp(duration(self).getSeconds())",message="spec.monitoring.interval must be whole seconds, because minReadySeconds of a Deployment is: write 1s or 2s instead of 1500ms"
	// +optional
	Interval metav1.Duration `json:"interval,omitzero"`
	// scrapeTimeout is the longest time that a scrape may take. The default is the timeout of Prometheus. It must not be
	// above interval.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,6})?(ns|us|ms|s|m|h))+$')",message="spec.monitoring.scrapeTimeout must be a number with a unit, such as 10s or 500ms: write 10s instead of 10"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^([0-9]{1,6}([.][0-9]{1,6})?(ns|us|ms|s|m|h))+$') || duration(self) >= duration('100ms')",message="spec.monitoring.scrapeTimeout must be at least 100ms, such as 10s"
	// +optional
	ScrapeTimeout *metav1.Duration `json:"scrapeTimeout,omitempty"`
	// bodySizeLimit is the largest scrape of a shard that the scraper accepts, in bytes without compression, such as
	// 16Mi. The condition Scrapable warns before a shard reaches it. The objects for the Prometheus Operator have it too,
	// so Prometheus refuses larger scrapes. In a ScrapeConfig, it needs Prometheus Operator 0.89 or newer.
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).compareTo(quantity('1Mi')) >= 0",message="spec.monitoring.bodySizeLimit must be at least 1Mi, such as 64Mi"
	// +optional
	BodySizeLimit *resource.Quantity `json:"bodySizeLimit,omitempty"`
	// labels are added to the objects for the Prometheus Operator, for a Prometheus that selects them by label. An
	// example is release: kube-prometheus-stack.
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(key, key.size() <= 317 && key.indexOf('/') <= 253 && key.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$'))",message="each key of spec.monitoring.labels must be the key of a label, such as release"
	// +optional
	Labels map[string]LabelValue `json:"labels,omitempty"`
	// tlsConfig configures how Prometheus verifies kube-state-metrics, which serves with TLS if spec.metrics.tls is set.
	// The gate serves without TLS.
	// +optional
	TLSConfig *ScrapeTLSConfig `json:"tlsConfig,omitempty"`
	// authorization is what Prometheus sends to kube-state-metrics, which requires it if spec.metrics.authFilter is
	// true. Prometheus sends it to kube-state-metrics only, and not to the gate.
	// +optional
	Authorization ScrapeAuthorization `json:"authorization,omitzero"`
	// rules creates a PrometheusRule with the recording rules and alerts of KSMScale. The rules are about all KSMScales,
	// so only the first KSMScale by name with rules has it. It includes the rules for ServiceMonitors if any KSMScale
	// has a ServiceMonitor.
	// +optional
	Rules bool `json:"rules,omitempty"`
}

// ScrapeTLSConfig configures how Prometheus verifies the certificate of kube-state-metrics. The Prometheus Operator has
// fields of the same names.
//
// +kubebuilder:validation:XValidation:rule="!has(self.insecureSkipVerify) || !self.insecureSkipVerify || !has(self.ca)",message="spec.monitoring.tlsConfig must not have both ca and insecureSkipVerify, because insecureSkipVerify verifies nothing: remove one of them"
// +kubebuilder:validation:XValidation:rule="has(self.ca) || has(self.serverName) || (has(self.insecureSkipVerify) && self.insecureSkipVerify)",message="spec.monitoring.tlsConfig must have ca, such as key ca.crt of the Secret that cert-manager writes: set it, or set serverName if the system of Prometheus trusts the certificate"
type ScrapeTLSConfig struct {
	// ca is the certificate of the CA that has signed the certificate of kube-state-metrics. Without it, Prometheus
	// trusts the CAs of its system.
	// +optional
	CA *SecretOrConfigMap `json:"ca,omitempty"`
	// serverName is a name in the certificate, which is the same for all shards. The default is ksm-<name of the
	// KSMScale>.<spec.namespace>.svc. A certificate for *.<spec.namespace>.svc is valid for it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="spec.monitoring.tlsConfig.serverName must be one name of the certificate, without a wildcard, such as ksm.monitoring.svc for *.monitoring.svc"
	// +optional
	ServerName string `json:"serverName,omitempty"`
	// insecureSkipVerify makes Prometheus accept any certificate. Another server can then send false metrics and read
	// the credentials.
	// +optional
	InsecureSkipVerify bool `json:"insecureSkipVerify,omitempty"`
}

// ScrapeAuthorization is sent as "Authorization: Bearer".
type ScrapeAuthorization struct {
	// credentials is the key of a Secret that has a token. The account of the token must be allowed to get /metrics.
	// +required
	Credentials KeySelector `json:"credentials,omitzero"`
}

// SecretOrConfigMap is a key of a Secret or of a ConfigMap.
//
// +kubebuilder:validation:XValidation:rule="has(self.secret) != has(self.configMap)",message="spec.monitoring.tlsConfig.ca must have either secret or configMap: set one of them"
type SecretOrConfigMap struct {
	// secret is a key of a Secret.
	// +optional
	Secret KeySelector `json:"secret,omitzero"`
	// configMap is a key of a ConfigMap.
	// +optional
	ConfigMap KeySelector `json:"configMap,omitzero"`
}

// KeySelector is a key of a Secret or ConfigMap in the namespace of the shards. The Prometheus Operator reads it.
type KeySelector struct {
	// name is the name of the Secret or ConfigMap.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="name must be the name of a Secret or ConfigMap in spec.namespace, such as kube-state-metrics-tls"
	// +required
	Name string `json:"name,omitempty"`
	// key is a key of the Secret or ConfigMap.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-._a-zA-Z0-9]+$')",message="key must be a key of a Secret or ConfigMap: letters, digits, '-', '_' and '.', such as ca.crt"
	// +required
	Key string `json:"key,omitempty"`
}
