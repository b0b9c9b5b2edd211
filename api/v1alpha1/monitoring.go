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
	// +kubebuilder:validation:XValidation:rule="timestamp(0) + duration(self) == timestamp(duration(self).getSeconds())",message="spec.monitoring.interval must be whole seconds, because Kubernetes counts the time that a pod is ready in seconds: write 1s or 2s instead of 1500ms"
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
	// +kubebuilder:validation:XValidation:rule="self.all(key, key.size() <= 317 && !format.qualifiedName().validate(key).hasValue())",message="each key of spec.monitoring.labels must be the key of a label, such as release"
	// +optional
	Labels map[string]LabelValue `json:"labels,omitempty"`
	// tlsConfig is how Prometheus verifies kube-state-metrics, which serves with TLS if spec.metrics.tls is set. The gate
	// serves without.
	// +optional
	TLSConfig *ScrapeTLSConfig `json:"tlsConfig,omitempty"`
	// authorization is what Prometheus sends to kube-state-metrics, which asks for it if spec.metrics.authFilter is set. The
	// gate does not, and is sent nothing.
	// +optional
	Authorization ScrapeAuthorization `json:"authorization,omitzero"`
	// rules makes a PrometheusRule with the recording rules and alerts of KSMScale. They are about all KSMScales, so
	// that the first one by name that asks for them has it; with those that a ServiceMonitor needs if any has one.
	// +optional
	Rules bool `json:"rules,omitempty"`
}

// ScrapeTLSConfig is what is verified of kube-state-metrics' certificate, in the words of the Prometheus Operator.
//
// +kubebuilder:validation:XValidation:rule="!has(self.insecureSkipVerify) || !self.insecureSkipVerify || !has(self.ca)",message="spec.monitoring.tlsConfig must not have both ca and insecureSkipVerify, with which nothing is verified: remove one of them"
// +kubebuilder:validation:XValidation:rule="has(self.ca) || has(self.serverName) || (has(self.insecureSkipVerify) && self.insecureSkipVerify)",message="spec.monitoring.tlsConfig needs ca, the authority of the certificate: set it, such as to the key ca.crt of the Secret that cert-manager writes, or set serverName to the name in a certificate that Prometheus' system trusts"
type ScrapeTLSConfig struct {
	// ca is the certificate of the authority that has signed that of kube-state-metrics. Without it, those are trusted that
	// the system of Prometheus trusts.
	// +optional
	CA *SecretOrConfigMap `json:"ca,omitempty"`
	// serverName is a name in the certificate, which is the same for all shards. By default it is
	// ksm-<name of the KSMScale>.<spec.namespace>.svc, which *.<spec.namespace>.svc is valid for.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="spec.monitoring.tlsConfig.serverName must be one name that the certificate is valid for, without a wildcard, such as ksm.monitoring.svc for *.monitoring.svc"
	// +optional
	ServerName string `json:"serverName,omitempty"`
	// insecureSkipVerify has the certificate not verified: what is scraped, and the credentials sent, may be someone else's.
	// +optional
	InsecureSkipVerify bool `json:"insecureSkipVerify,omitempty"`
}

// ScrapeAuthorization is sent as "Authorization: Bearer".
type ScrapeAuthorization struct {
	// credentials is the key of a Secret that has the token of an account which may get /metrics.
	// +required
	Credentials KeySelector `json:"credentials,omitzero"`
}

// SecretOrConfigMap is either.
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

// KeySelector is a key of a Secret or ConfigMap in the namespace of the shards, which the Prometheus Operator reads.
type KeySelector struct {
	// name is the name of the object.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="name must be that of a Secret or ConfigMap in spec.namespace"
	// +required
	Name string `json:"name,omitempty"`
	// key is one of its keys.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-._a-zA-Z0-9]+$')",message="key must be one of a Secret or ConfigMap: letters, digits, '-', '_' and '.', such as ca.crt"
	// +required
	Key string `json:"key,omitempty"`
}
