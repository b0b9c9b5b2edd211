package v1alpha1

// MetricsConfig selects what kube-state-metrics exports. Its fields are named after the flags of kube-state-metrics.
//
// +kubebuilder:validation:XValidation:rule="!has(self.metricAllowlist) || !has(self.metricDenylist)",message="spec.metrics.metricAllowlist and spec.metrics.metricDenylist must not both be set, because kube-state-metrics refuses that: remove metricDenylist, and its metrics from metricAllowlist"
// +kubebuilder:validation:XValidation:rule="!has(self.namespaces) || !has(self.namespacesDenylist)",message="spec.metrics.namespaces and spec.metrics.namespacesDenylist must not both be set: remove namespacesDenylist, and its namespaces from namespaces"
// +kubebuilder:validation:XValidation:rule="!has(self.resources) || !has(self.customResourceState) || !has(self.customResourceState.only) || !self.customResourceState.only",message="spec.metrics.resources must not be set with spec.metrics.customResourceState.only, because kube-state-metrics then ignores it: remove one of them"
type MetricsConfig struct {
	// resources are the kinds of objects to export, as --resources names them, such as pods. The default has the default
	// resources of kube-state-metrics without Secrets and admission policies. kube-state-metrics may read Secrets only
	// if they are listed here. Old versions do not know the admission policies.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.all(name, name.matches('^[a-z]*[a-rt-z]s$'))",message="each of spec.metrics.resources must be the plural name of a resource in lower case: write pods instead of pod, ingresses instead of ingress, and one resource per item"
	// +listType=set
	// +optional
	Resources []string `json:"resources,omitempty"`
	// metricAllowlist are the metrics to export: kube-state-metrics exports no others. Each item is a regular expression
	// that matches anywhere in a name, unless it begins with ^ and ends with $. For each resource, allow at least one
	// metric that every object has, such as kube_node_info, or no metric at all. Otherwise the gate waits for objects
	// that have no metrics.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=512
	// +kubebuilder:validation:items:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.all(metric, metric.size() > 0 && !metric.contains(','))",message="each of spec.metrics.metricAllowlist must be one name or regular expression without commas, because kube-state-metrics splits at commas: write one per item"
	// +kubebuilder:validation:XValidation:rule="bytes(self.join(',')).size() <= 65536",message="spec.metrics.metricAllowlist must have at most 65536 bytes in all, because Linux limits the length of an argument: write regular expressions that match several names, such as ^kube_pod_"
	// +listType=set
	// +optional
	MetricAllowlist []string `json:"metricAllowlist,omitempty"`
	// metricDenylist are the metrics that kube-state-metrics does not export. Each item is a regular expression that
	// matches anywhere in a name, unless it begins with ^ and ends with $. For each resource, keep at least one metric
	// that every object has, such as kube_node_info, or deny all its metrics. Otherwise the gate waits for objects that
	// have no metrics.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=512
	// +kubebuilder:validation:items:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.all(metric, metric.size() > 0 && !metric.contains(','))",message="each of spec.metrics.metricDenylist must be one name or regular expression without commas, because kube-state-metrics splits at commas: write one per item"
	// +kubebuilder:validation:XValidation:rule="bytes(self.join(',')).size() <= 65536",message="spec.metrics.metricDenylist must have at most 65536 bytes in all, because Linux limits the length of an argument: write regular expressions that match several names, such as ^kube_pod_"
	// +listType=set
	// +optional
	MetricDenylist []string `json:"metricDenylist,omitempty"`
	// metricOptInList are metrics to export that kube-state-metrics does not export by default.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=512
	// +kubebuilder:validation:items:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.all(metric, metric.size() > 0 && !metric.contains(','))",message="each of spec.metrics.metricOptInList must be one name or regular expression without commas, because kube-state-metrics splits at commas: write one per item"
	// +kubebuilder:validation:XValidation:rule="bytes(self.join(',')).size() <= 65536",message="spec.metrics.metricOptInList must have at most 65536 bytes in all, because Linux limits the length of an argument: write regular expressions that match several names, such as ^kube_pod_"
	// +listType=set
	// +optional
	MetricOptInList []string `json:"metricOptInList,omitempty"`
	// metricLabelsAllowlist are the labels of objects to export, for each resource. Examples are pods=[app,team] and
	// nodes=[*].
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:items:MaxLength=4096
	// +kubebuilder:validation:XValidation:rule="self.all(keys, keys.matches('^[-._/a-zA-Z0-9*]+=\\\\[( *[-._/a-zA-Z0-9]*[-._/a-zA-Z0-9*][-._/a-zA-Z0-9]* *(, *[-._/a-zA-Z0-9]*[-._/a-zA-Z0-9*][-._/a-zA-Z0-9]* *)*)?\\\\]$'))",message="each of spec.metrics.metricLabelsAllowlist must be a resource with keys of labels, each with at most one *, because kube-state-metrics does not start with anything else: write pods=[app,team] or nodes=[*]"
	// +kubebuilder:validation:XValidation:rule="bytes(self.join(',')).size() <= 32768",message="spec.metrics.metricLabelsAllowlist must have at most 32768 bytes in all, because kube-state-metrics takes minutes to read more: write * for all labels of a resource, as in pods=[*]"
	// +listType=set
	// +optional
	MetricLabelsAllowlist []string `json:"metricLabelsAllowlist,omitempty"`
	// metricAnnotationsAllowlist are the annotations of objects to export, for each resource. An example is
	// namespaces=[example.com/team].
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:items:MaxLength=4096
	// +kubebuilder:validation:XValidation:rule="self.all(keys, keys.matches('^[-._/a-zA-Z0-9*]+=\\\\[( *[-._/a-zA-Z0-9]*[-._/a-zA-Z0-9*][-._/a-zA-Z0-9]* *(, *[-._/a-zA-Z0-9]*[-._/a-zA-Z0-9*][-._/a-zA-Z0-9]* *)*)?\\\\]$'))",message="each of spec.metrics.metricAnnotationsAllowlist must be a resource with keys of annotations, each with at most one *, because kube-state-metrics does not start with anything else: write pods=[example.com/team] or nodes=[*]"
	// +kubebuilder:validation:XValidation:rule="bytes(self.join(',')).size() <= 32768",message="spec.metrics.metricAnnotationsAllowlist must have at most 32768 bytes in all, because kube-state-metrics takes minutes to read more: write * for all annotations of a resource, as in pods=[*]"
	// +listType=set
	// +optional
	MetricAnnotationsAllowlist []string `json:"metricAnnotationsAllowlist,omitempty"`
	// namespaces are the namespaces whose objects are exported. The default is all namespaces. Objects without a
	// namespace are always exported.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=512
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.all(name, name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))",message="each of spec.metrics.namespaces must be the name of a namespace, such as default: write one per item, and leave the field out for all of them"
	// +listType=set
	// +optional
	Namespaces []string `json:"namespaces,omitempty"`
	// namespacesDenylist are the namespaces whose objects are not exported.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=512
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.all(name, name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))",message="each of spec.metrics.namespacesDenylist must be the name of a namespace, such as default: write one per item"
	// +listType=set
	// +optional
	NamespacesDenylist []string `json:"namespacesDenylist,omitempty"`
	// customResourceState configures metrics of custom resources. With it, kube-state-metrics lists everything again
	// whenever a CustomResourceDefinition is created, changed or deleted. Use a separate KSMScale for custom resources.
	// +optional
	CustomResourceState *CustomResourceState `json:"customResourceState,omitempty"`
	// useAPIServerCache makes kube-state-metrics list from the cache of the API server instead of etcd.
	// +optional
	UseAPIServerCache bool `json:"useAPIServerCache,omitempty"`
	// objectLimit is the maximum number of objects of a resource that kube-state-metrics lists. It counts the objects of
	// all shards together, and for each namespace if namespaces is set. kube-state-metrics leaves out the other objects
	// until they change. Objects created later are exported. 0 is unlimited. kube-state-metrics before v2.16.0 does not
	// start with an objectLimit.
	// +kubebuilder:validation:Minimum=0
	// +optional
	ObjectLimit int64 `json:"objectLimit,omitempty"`
	// authFilter makes kube-state-metrics answer only clients that the API server allows to get /metrics. It applies to
	// both ports. Prometheus then needs a token: set spec.monitoring.authorization. kube-state-metrics before v2.16.0
	// does not start with authFilter.
	// +optional
	AuthFilter bool `json:"authFilter,omitempty"`
	// tls makes kube-state-metrics serve with TLS on both of its ports. Prometheus then uses https and needs a CA to
	// trust: set spec.monitoring.tlsConfig.
	// +optional
	TLS TLSConfig `json:"tls,omitzero"`
}

// TLSConfig is the certificate that kube-state-metrics serves with.
type TLSConfig struct {
	// secretName is the name of a Secret of type kubernetes.io/tls in the namespace of the shards. Its certificate must
	// be valid for the names of the shards' Services, such as *.monitoring.svc. kube-state-metrics serves a new
	// certificate about a minute after the Secret changes. No pod is replaced.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="spec.metrics.tls.secretName must be the name of a Secret, such as kube-state-metrics-tls"
	// +required
	SecretName string `json:"secretName,omitempty"`
}

// CustomResourceState is a configuration of metrics of custom resources. kube-state-metrics needs more rights for it: to
// list and watch customresourcedefinitions and the custom resources.
//
// +kubebuilder:validation:XValidation:rule="has(self.config) != has(self.configMap)",message="spec.metrics.customResourceState must have either config, with the configuration itself, or configMap, with the name of a ConfigMap: set one of them"
type CustomResourceState struct {
	// config is the configuration: a CustomResourceStateMetrics in YAML. A change is rolled out without a gap in the
	// metrics.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=262144
	// +kubebuilder:validation:XValidation:rule="bytes(self).size() <= 131000",message="spec.metrics.customResourceState.config must have at most 131000 bytes, because Linux limits the length of an argument: put it into a ConfigMap, and set spec.metrics.customResourceState.configMap instead"
	// +optional
	Config string `json:"config,omitempty"`
	// configMap is the ConfigMap key that has the configuration. A change of its content does not reach running pods,
	// because kube-state-metrics would list everything again in all of them at once. To change the configuration, create
	// a ConfigMap with another name, and set that name here.
	// +optional
	ConfigMap ConfigMapKey `json:"configMap,omitzero"`
	// only makes kube-state-metrics export custom resources and no other objects.
	// +optional
	Only bool `json:"only,omitempty"`
}

// ConfigMapKey is a key of a ConfigMap in the namespace of the shards.
type ConfigMapKey struct {
	// name is the name of the ConfigMap.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="spec.metrics.customResourceState.configMap.name must be the name of a ConfigMap, such as custom-resource-state"
	// +required
	Name string `json:"name,omitempty"`
	// key is the key that has the configuration.
	// +kubebuilder:default="config.yaml"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-._a-zA-Z0-9]+$')",message="spec.metrics.customResourceState.configMap.key must be a key of a ConfigMap: letters, digits, '-', '_' and '.', such as config.yaml"
	// +optional
	Key string `json:"key,omitempty"`
}
