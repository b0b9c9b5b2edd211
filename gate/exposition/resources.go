package exposition

import (
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Resource is a kind of objects that kube-state-metrics exports.
type Resource struct {
	// Name is its name in --resources.
	Name string
	// singular is the part of its metrics' names after "kube_": kube_pod_info.
	singular string
	// label is the label that contains an object's name.
	label string
	// Namespaced is whether its objects are in namespaces.
	Namespaced bool
	// byName is whether only its name identifies an object, although it is in a namespace.
	byName bool
	// GroupVersionResource is how the API server names it.
	GroupVersionResource schema.GroupVersionResource
}

// Resources are all built-in resources that kube-state-metrics can export, by name (pkg/internal/store/builder.go of
// kube-state-metrics, availableStores).
var Resources = index(
	builtIn("", "v1", "configmaps", "configmap"),
	builtIn("", "v1", "endpoints", "endpoint"),
	builtIn("", "v1", "limitranges", "limitrange"),
	builtIn("", "v1", "namespaces", "namespace").cluster(),
	builtIn("", "v1", "nodes", "node").cluster(),
	builtIn("", "v1", "persistentvolumeclaims", "persistentvolumeclaim"),
	builtIn("", "v1", "persistentvolumes", "persistentvolume").cluster(),
	builtIn("", "v1", "pods", "pod"),
	builtIn("", "v1", "replicationcontrollers", "replicationcontroller"),
	builtIn("", "v1", "resourcequotas", "resourcequota"),
	builtIn("", "v1", "secrets", "secret"),
	builtIn("", "v1", "serviceaccounts", "serviceaccount"),
	builtIn("", "v1", "services", "service"),
	builtIn("admissionregistration.k8s.io", "v1", "mutatingadmissionpolicies", "mutatingadmissionpolicy").cluster(),
	builtIn("admissionregistration.k8s.io", "v1", "mutatingadmissionpolicybindings", "mutatingadmissionpolicybinding").cluster(),
	builtIn("admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations", "mutatingwebhookconfiguration").cluster(),
	builtIn("admissionregistration.k8s.io", "v1", "validatingadmissionpolicies", "validatingadmissionpolicy").cluster(),
	builtIn("admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings", "validatingadmissionpolicybinding").cluster(),
	builtIn("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", "validatingwebhookconfiguration").cluster(),
	builtIn("apps", "v1", "daemonsets", "daemonset"),
	builtIn("apps", "v1", "deployments", "deployment"),
	builtIn("apps", "v1", "replicasets", "replicaset"),
	builtIn("apps", "v1", "statefulsets", "statefulset"),
	builtIn("autoscaling", "v2", "horizontalpodautoscalers", "horizontalpodautoscaler"),
	builtIn("batch", "v1", "cronjobs", "cronjob"),
	builtIn("batch", "v1", "jobs", "job").labelled("job_name"),
	builtIn("certificates.k8s.io", "v1", "certificatesigningrequests", "certificatesigningrequest").cluster(),
	builtIn("coordination.k8s.io", "v1", "leases", "lease"),
	// Metrics of kube-state-metrics before v2.11.0 lack their namespaces. Their names end in random letters.
	builtIn("discovery.k8s.io", "v1", "endpointslices", "endpointslice").identifiedByName(),
	builtIn("networking.k8s.io", "v1", "ingressclasses", "ingressclass").cluster(),
	builtIn("networking.k8s.io", "v1", "ingresses", "ingress"),
	builtIn("networking.k8s.io", "v1", "networkpolicies", "networkpolicy"),
	builtIn("policy", "v1", "poddisruptionbudgets", "poddisruptionbudget"),
	builtIn("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "clusterrolebinding").cluster(),
	builtIn("rbac.authorization.k8s.io", "v1", "clusterroles", "clusterrole").cluster(),
	builtIn("rbac.authorization.k8s.io", "v1", "rolebindings", "rolebinding"),
	builtIn("rbac.authorization.k8s.io", "v1", "roles", "role"),
	builtIn("storage.k8s.io", "v1", "storageclasses", "storageclass").cluster(),
	builtIn("storage.k8s.io", "v1", "volumeattachments", "volumeattachment").cluster(),
)

func builtIn(group, version, name, singular string) Resource {
	return Resource{
		Name: name, singular: singular, label: singular, Namespaced: true,
		GroupVersionResource: schema.GroupVersionResource{Group: group, Version: version, Resource: name},
	}
}

func (r Resource) cluster() Resource {
	r.Namespaced = false
	return r
}

func (r Resource) identifiedByName() Resource {
	r.byName = true
	return r
}

func (r Resource) labelled(label string) Resource {
	r.label = label
	return r
}

func index(all ...Resource) map[string]Resource {
	byName := make(map[string]Resource, len(all))
	for _, one := range all {
		byName[one.Name] = one
	}
	return byName
}

// In is the name of the resource, with the namespace if it is limited to one.
func (r Resource) In(namespace string) string {
	if namespace == "" {
		return r.Name
	}
	return r.Name + " in namespace " + namespace
}

// Object is one object of the resource.
func (r Resource) Object(namespace, name string) Object {
	key := r.Key(namespace, name)
	return objectOf(key.Namespace, key.Name)
}

// Key is the name that identifies an object of the resource in metrics. Its namespace is empty if the metrics may lack it.
func (r Resource) Key(namespace, name string) types.NamespacedName {
	if !r.Namespaced || r.byName {
		namespace = ""
	}
	return types.NamespacedName{Namespace: namespace, Name: name}
}

// Owns reports whether a metric family belongs to this resource: kube_pod_info belongs to pods, and
// kube_poddisruptionbudget_created does not.
func (r Resource) Owns(familyName string) bool {
	rest, isPrefixed := strings.CutPrefix(familyName, "kube_"+r.singular)
	return isPrefixed && (rest == "" || rest[0] == '_')
}

// identifies reports whether a family has one series for every object. Then it is enough to read this family, of dozens.
func (r Resource) identifies(familyName string) bool {
	switch strings.TrimPrefix(familyName, "kube_"+r.singular) {
	case "_created", "_info":
		return true
	case "_owner":
		return r.Name == "leases"
	default:
		return false
	}
}
