package ksmflags

// Resources are the built-in resources that the tested versions of kube-state-metrics know, as --resources names them. A newer version may
// know more. kube-state-metrics does not start with a resource that it does not know.
var Resources = []string{
	"certificatesigningrequests", "clusterrolebindings", "clusterroles", "configmaps", "cronjobs", "daemonsets",
	"deployments", "endpoints", "endpointslices", "horizontalpodautoscalers", "ingressclasses", "ingresses", "jobs",
	"leases", "limitranges", "mutatingadmissionpolicies", "mutatingadmissionpolicybindings",
	"mutatingwebhookconfigurations", "namespaces", "networkpolicies", "nodes", "persistentvolumeclaims",
	"persistentvolumes", "poddisruptionbudgets", "pods", "replicasets", "replicationcontrollers", "resourcequotas",
	"rolebindings", "roles", "secrets", "serviceaccounts", "services", "statefulsets", "storageclasses",
	"validatingadmissionpolicies", "validatingadmissionpolicybindings", "validatingwebhookconfigurations",
	"volumeattachments",
}
