package controller

// The rights of the controller. config/rbac/role.yaml is generated from these markers. Names limit the rights wherever the API allows that.

// The input of plans.
// +kubebuilder:rbac:groups=monitor.example.com,resources=ksmscales,verbs=list;watch
// +kubebuilder:rbac:groups="",resources=nodes,verbs=list;watch

// The status and events.
// +kubebuilder:rbac:groups=monitor.example.com,resources=ksmscales/status,verbs=update
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// The objects of the shards in spec.namespace, and their pods for the status.
// +kubebuilder:rbac:groups=apps,resources=deployments,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=apps,resources=deployments/scale,verbs=get;update
// +kubebuilder:rbac:groups="",resources=services,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=autoscaling,resources=horizontalpodautoscalers,verbs=get;list;watch;create;patch;delete
// VerticalPodAutoscalers, where they are installed. They belong to others.
// +kubebuilder:rbac:groups=autoscaling.k8s.io,resources=verticalpodautoscalers,verbs=list
// +kubebuilder:rbac:groups=policy,resources=poddisruptionbudgets,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=pods,verbs=list;watch
// The names of LimitRanges. The controller lists them only after one has refused a pod.
// +kubebuilder:rbac:groups="",resources=limitranges,verbs=list

// The rights of kube-state-metrics. The controller can grant only the three cluster roles of the installation. It deletes no service account.
// But with the admission plugin OwnerReferencesPermissionEnforcement, setting the owner of an existing one needs the right to delete it.
// +kubebuilder:rbac:groups="",resources=serviceaccounts,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=clusterrolebindings,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=clusterroles,verbs=bind,resourceNames=ksmscale-kube-state-metrics;ksmscale-kube-state-metrics-secrets;ksmscale-kube-state-metrics-auth-filter

// The objects for the Prometheus Operator, where it is installed.
// +kubebuilder:rbac:groups=monitoring.coreos.com,resources=scrapeconfigs;servicemonitors;prometheusrules,verbs=get;list;create;patch;delete

// The registration of external metrics, and the cluster role that owns it. The controller does not delete the APIService. With the same plugin,
// setting and removing its owner needs the right to delete it.
// +kubebuilder:rbac:groups=apiregistration.k8s.io,resources=apiservices,verbs=get;list;watch;create;patch;delete,resourceNames=v1beta1.external.metrics.k8s.io
// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=clusterroles,verbs=get,resourceNames=ksmscale-adapter

// Authentication and authorization of clients of the metrics.
// +kubebuilder:rbac:groups=authentication.k8s.io,resources=tokenreviews,verbs=create
// +kubebuilder:rbac:groups=authorization.k8s.io,resources=subjectaccessreviews,verbs=create

// The image of the controller, for the gates.
// +kubebuilder:rbac:groups="",namespace=ksmscale-system,resources=pods,verbs=get

// The lease, with its events, and the adapter's certificate.
// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=ksmscale-system,resources=leases,verbs=create
// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=ksmscale-system,resources=leases,verbs=get;update,resourceNames=ksmscale-controller
// +kubebuilder:rbac:groups="",namespace=ksmscale-system,resources=events,verbs=create
// +kubebuilder:rbac:groups="",namespace=ksmscale-system,resources=secrets,verbs=get;list;watch
// +kubebuilder:rbac:groups="",namespace=ksmscale-system,resources=secrets,verbs=update,resourceNames=ksmscale-adapter-certificate
// The addresses of adapters. The controller lists them only after a change of the CA.
// +kubebuilder:rbac:groups=discovery.k8s.io,namespace=ksmscale-system,resources=endpointslices,verbs=list
