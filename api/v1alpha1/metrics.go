package v1alpha1

// MetricsConfig is what kube-state-metrics exports, as its flags of the same names say.
//
// +kubebuilder:validation:XValidation:rule="!has(self.metricAllowlist) || !has(self.metricDenylist)",message="spec.metrics.metricAllowlist and spec.metrics.metricDenylist must not both be set, which kube-state-metrics refuses: keep the allowlist, and leave out of it what the denylist has"
// +kubebuilder:validation:XValidation:rule="!has(self.namespaces) || !has(self.namespacesDenylist)",message="spec.metrics.namespaces and spec.metrics.namespacesDenylist must not both be set: write the namespaces to export into spec.metrics.namespaces only"
// +kubebuilder:validation:XValidation:rule="!has(self.resources) || !has(self.customResourceState) || !has(self.customResourceState.only) || !self.customResourceState.only",message="spec.metrics.resources must not be set with spec.metrics.customResourceState.only, with which kube-state-metrics ignores it: remove one of them"
type MetricsConfig struct {
	// resources are the kinds of objects to export, by the names of --resources, such as pods. By default they are
	// those of kube-state-metrics but for Secrets, which it may read only if they are named here, and for the
	// admission policies, which older versions do not know.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.all(name, name.matches('^[a-z]+$'))",message="each of spec.metrics.resources must be the plural name of a resource in lower case, such as pods: write one resource per item"
	// +listType=set
	// +optional
	Resources []string `json:"resources,omitempty"`
	// metricAllowlist are the metrics to export, and no others: regular expressions, which match anywhere in a name
	// unless they begin with ^ and end with $. Of each resource, have a metric of every object, such as kube_node_info,
	// or none: the gate would wait for the others.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=512
	// +kubebuilder:validation:items:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.all(metric, metric.size() > 0 && !metric.contains(','))",message="each of spec.metrics.metricAllowlist must be one name or regular expression, and kube-state-metrics takes a comma for the end of it: write one per item, without commas"
	// +kubebuilder:validation:XValidation:rule="bytes(self.join(',')).size() <= 65536",message="spec.metrics.metricAllowlist must have at most 65536 bytes in all, because kube-state-metrics gets it in one argument, and Linux takes none of more than 131071: write regular expressions that match several names, such as ^kube_pod_"
	// +listType=set
	// +optional
	MetricAllowlist []string `json:"metricAllowlist,omitempty"`
	// metricDenylist are metrics not to export: regular expressions, which match anywhere in a name unless they begin
	// with ^ and end with $. Of each resource, leave a metric of every object, such as kube_node_info, or none: the gate
	// would wait for the others.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=512
	// +kubebuilder:validation:items:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.all(metric, metric.size() > 0 && !metric.contains(','))",message="each of spec.metrics.metricDenylist must be one name or regular expression, and kube-state-metrics takes a comma for the end of it: write one per item, without commas"
	// +kubebuilder:validation:XValidation:rule="bytes(self.join(',')).size() <= 65536",message="spec.metrics.metricDenylist must have at most 65536 bytes in all, because kube-state-metrics gets it in one argument, and Linux takes none of more than 131071: write regular expressions that match several names, such as ^kube_pod_"
	// +listType=set
	// +optional
	MetricDenylist []string `json:"metricDenylist,omitempty"`
	// metricOptInList are metrics to export that kube-state-metrics does not by default.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=512
	// +kubebuilder:validation:items:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.all(metric, metric.size() > 0 && !metric.contains(','))",message="each of spec.metrics.metricOptInList must be one name or regular expression, and kube-state-metrics takes a comma for the end of it: write one per item, without commas"
	// +kubebuilder:validation:XValidation:rule="bytes(self.join(',')).size() <= 65536",message="spec.metrics.metricOptInList must have at most 65536 bytes in all, because kube-state-metrics gets it in one argument, and Linux takes none of more than 131071: write regular expressions that match several names, such as ^kube_pod_"
	// +listType=set
	// +optional
	MetricOptInList []string `json:"metricOptInList,omitempty"`
	// metricLabelsAllowlist are the labels of objects to export, for each resource, as in pods=[app,team] or
	// nodes=[*].
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:items:MaxLength=4096
	// +kubebuilder:validation:XValidation:rule="self.all(keys, keys.matches('^[^=,\\\\[\\\\]]+=\\\\[[^=\\\\[\\\\]]*\\\\]$'))",message="each of spec.metrics.metricLabelsAllowlist must be a resource with keys of labels, written as pods=[app,team] or nodes=[*]"
	// +kubebuilder:validation:XValidation:rule="bytes(self.join(',')).size() <= 32768",message="spec.metrics.metricLabelsAllowlist must have at most 32768 bytes in all, because kube-state-metrics gets it in one argument, and takes minutes to read a longer one: write * for all labels of a resource, as in pods=[*]"
	// +listType=set
	// +optional
	MetricLabelsAllowlist []string `json:"metricLabelsAllowlist,omitempty"`
	// metricAnnotationsAllowlist are the annotations of objects to export, for each resource, as in
	// namespaces=[example.com/team].
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:items:MaxLength=4096
	// +kubebuilder:validation:XValidation:rule="self.all(keys, keys.matches('^[^=,\\\\[\\\\]]+=\\\\[[^=\\\\[\\\\]]*\\\\]$'))",message="each of spec.metrics.metricAnnotationsAllowlist must be a resource with keys of annotations, written as pods=[example.com/team] or nodes=[*]"
	// +kubebuilder:validation:XValidation:rule="bytes(self.join(',')).size() <= 32768",message="spec.metrics.metricAnnotationsAllowlist must have at most 32768 bytes in all, because kube-state-metrics gets it in one argument, and takes minutes to read a longer one: write * for all annotations of a resource, as in pods=[*]"
	// +listType=set
	// +optional
	MetricAnnotationsAllowlist []string `json:"metricAnnotationsAllowlist,omitempty"`
	// namespaces are those whose objects are exported; by default all. Objects that are in no namespace always are.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=512
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.all(name, name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))",message="each of spec.metrics.namespaces must be the name of a namespace, such as default: write one per item, and leave the field out for all of them"
	// +listType=set
	// +optional
	Namespaces []string `json:"namespaces,omitempty"`
	// namespacesDenylist are namespaces whose objects are not exported.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=512
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.all(name, name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))",message="each of spec.metrics.namespacesDenylist must be the name of a namespace, such as default: write one per item"
	// +listType=set
	// +optional
	NamespacesDenylist []string `json:"namespacesDenylist,omitempty"`
	// customResourceState makes metrics of custom resources. With it, kube-state-metrics forgets all that it has listed
	// whenever a CustomResourceDefinition comes, changes or goes: better have a KSMScale of its own for them.
	// +optional
	CustomResourceState *CustomResourceState `json:"customResourceState,omitempty"`
	// useAPIServerCache has kube-state-metrics list from the API server's cache rather than from etcd.
	// +optional
	UseAPIServerCache bool `json:"useAPIServerCache,omitempty"`
	// objectLimit is how many objects of a resource kube-state-metrics lists, of all shards together, and of each
	// namespace if namespaces are set. It leaves out the others, but for those that change or come later. 0 is unlimited.
	// kube-state-metrics before v2.16.0 does not start with it.
	// +kubebuilder:validation:Minimum=0
	// +optional
	ObjectLimit int64 `json:"objectLimit,omitempty"`
	// authFilter has kube-state-metrics answer those only whom the API server lets get /metrics, on both of its ports:
	// Prometheus needs a token then: set spec.monitoring.authorization. kube-state-metrics before v2.16.0 does not start with it.
	// +optional
	AuthFilter bool `json:"authFilter,omitempty"`
	// tls has kube-state-metrics serve with TLS, on both of its ports: Prometheus has to use https then, and
	// to know whom to trust: set spec.monitoring.tlsConfig.
	// +optional
	TLS TLSConfig `json:"tls,omitzero"`
}

// TLSConfig is what kube-state-metrics serves with TLS by.
type TLSConfig struct {
	// secretName is the name of a Secret of the type kubernetes.io/tls, in the namespace of the shards. Its certificate
	// should be valid for the names of the shards' Services, such as *.monitoring.svc. A new one is served about a
	// minute after it is there, and no pod is replaced for it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="spec.metrics.tls.secretName must be the name of a Secret"
	// +required
	SecretName string `json:"secretName,omitempty"`
}

// CustomResourceState is a configuration of metrics of custom resources. kube-state-metrics needs further rights for
// them: to list and watch customresourcedefinitions and the custom resources.
//
// +kubebuilder:validation:XValidation:rule="has(self.config) != has(self.configMap)",message="spec.metrics.customResourceState must have either config, with the configuration itself, or configMap, with the name of a ConfigMap"
type CustomResourceState struct {
	// config is the configuration: a CustomResourceStateMetrics in YAML. A change of it is rolled out without a gap.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=262144
	// +kubebuilder:validation:XValidation:rule="bytes(self).size() <= 131000",message="spec.metrics.customResourceState.config must have at most 131000 bytes, because kube-state-metrics gets it in one argument, and Linux takes none of more than 131071: put it into a ConfigMap, and name that in spec.metrics.customResourceState.configMap"
	// +optional
	Config string `json:"config,omitempty"`
	// configMap has the configuration. Changes of its content do not reach pods that run, since kube-state-metrics would
	// begin anew in all of them at once: make a ConfigMap of another name, and name it here.
	// +optional
	ConfigMap ConfigMapKey `json:"configMap,omitzero"`
	// only has kube-state-metrics export nothing but custom resources.
	// +optional
	Only bool `json:"only,omitempty"`
}

// ConfigMapKey is a key of a ConfigMap in the namespace of the shards.
type ConfigMapKey struct {
	// name is the name of the ConfigMap.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="spec.metrics.customResourceState.configMap.name must be the name of a ConfigMap"
	// +required
	Name string `json:"name,omitempty"`
	// key is the key of the configuration.
	// +kubebuilder:default="config.yaml"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-._a-zA-Z0-9]+$')",message="spec.metrics.customResourceState.configMap.key must be a key of a ConfigMap: letters, digits, '-', '_' and '.', such as config.yaml"
	// +optional
	Key string `json:"key,omitempty"`
}
