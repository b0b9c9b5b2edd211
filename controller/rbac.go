package controller

// The controller's rights; config/rbac/role.yaml is generated from these markers. Names limit them wherever the
// API allows that.

// What plans are made from.
// +kubebuilder:rbac:groups=monitor.example.com,resources=ksmscales,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=nodes,verbs=list;watch

// What it reports.
// +kubebuilder:rbac:groups=monitor.example.com,resources=ksmscales/status,verbs=update
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// The objects of the shards, wherever spec.namespace says, and their pods to report on.
// +kubebuilder:rbac:groups=apps,resources=deployments,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=apps,resources=deployments/scale,verbs=get;update
// +kubebuilder:rbac:groups="",resources=services,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=autoscaling,resources=horizontalpodautoscalers,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=policy,resources=poddisruptionbudgets,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=pods,verbs=list;watch
// Which LimitRange refuses pods; looked up when one does, and not watched.
// +kubebuilder:rbac:groups="",resources=limitranges,verbs=list

// The rights of kube-state-metrics: the controller can grant just what the three cluster roles of the installation
// have. It deletes no service account; but where the admission plugin OwnerReferencesPermissionEnforcement is on, who sets the
// owner of one that exists needs the right to.
// +kubebuilder:rbac:groups="",resources=serviceaccounts,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=clusterrolebindings,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=clusterroles,verbs=bind,resourceNames=ksmscale-kube-state-metrics;ksmscale-kube-state-metrics-secrets;ksmscale-kube-state-metrics-auth-filter

// The objects for the Prometheus Operator, where it is installed.
// +kubebuilder:rbac:groups=monitoring.coreos.com,resources=scrapeconfigs;servicemonitors;prometheusrules,verbs=get;list;create;patch;delete

// The registration of external metrics, and the role that it is deleted with. The controller does not delete it; with that plugin,
// the right to is needed to set and remove its owner.
// +kubebuilder:rbac:groups=apiregistration.k8s.io,resources=apiservices,verbs=get;list;watch;create;patch;delete,resourceNames=v1beta1.external.metrics.k8s.io
// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=clusterroles,verbs=get,resourceNames=ksmscale-adapter

// Who may read the controller's own metrics.
// +kubebuilder:rbac:groups=authentication.k8s.io,resources=tokenreviews,verbs=create
// +kubebuilder:rbac:groups=authorization.k8s.io,resources=subjectaccessreviews,verbs=create

// The image that it runs from, for the gates.
// +kubebuilder:rbac:groups="",namespace=ksmscale-system,resources=pods,verbs=get

// Its lease, with events about it, and the adapter's certificate.
// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=ksmscale-system,resources=leases,verbs=create
// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=ksmscale-system,resources=leases,verbs=get;update,resourceNames=ksmscale-controller
// +kubebuilder:rbac:groups="",namespace=ksmscale-system,resources=events,verbs=create;patch
// +kubebuilder:rbac:groups="",namespace=ksmscale-system,resources=secrets,verbs=get;list;watch
// +kubebuilder:rbac:groups="",namespace=ksmscale-system,resources=secrets,verbs=update,resourceNames=ksmscale-adapter-certificate
// What adapters serve after a change of that certificate's authority; looked up when it changes, and not watched.
// +kubebuilder:rbac:groups=discovery.k8s.io,namespace=ksmscale-system,resources=endpointslices,verbs=list
