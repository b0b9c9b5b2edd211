package gate

import (
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// resource is a kind of objects that kube-state-metrics exports.
type resource struct {
	// name is what --resources calls it.
	name string
	// singular is the part of its metrics' names after "kube_": kube_pod_info.
	singular string
	// label is the label that has an object's name.
	label string
	// namespaced is whether its objects are in namespaces.
	namespaced bool
	// byName is whether its objects are told apart by their names alone, though they are in namespaces.
	byName               bool
	groupVersionResource schema.GroupVersionResource
}

// resources are all that kube-state-metrics can export, but for custom resources (pkg/internal/store/builder.go of
// kube-state-metrics, availableStores), by name.
var resources = index(
	of("", "v1", "configmaps", "configmap"),
	of("", "v1", "endpoints", "endpoint"),
	of("", "v1", "limitranges", "limitrange"),
	of("", "v1", "namespaces", "namespace").cluster(),
	of("", "v1", "nodes", "node").cluster(),
	of("", "v1", "persistentvolumeclaims", "persistentvolumeclaim"),
	of("", "v1", "persistentvolumes", "persistentvolume").cluster(),
	of("", "v1", "pods", "pod"),
	of("", "v1", "replicationcontrollers", "replicationcontroller"),
	of("", "v1", "resourcequotas", "resourcequota"),
	of("", "v1", "secrets", "secret"),
	of("", "v1", "serviceaccounts", "serviceaccount"),
	of("", "v1", "services", "service"),
	of("admissionregistration.k8s.io", "v1", "mutatingadmissionpolicies", "mutatingadmissionpolicy").cluster(),
	of("admissionregistration.k8s.io", "v1", "mutatingadmissionpolicybindings", "mutatingadmissionpolicybinding").cluster(),
	of("admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations", "mutatingwebhookconfiguration").cluster(),
	of("admissionregistration.k8s.io", "v1", "validatingadmissionpolicies", "validatingadmissionpolicy").cluster(),
	of("admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings", "validatingadmissionpolicybinding").cluster(),
	of("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", "validatingwebhookconfiguration").cluster(),
	of("apps", "v1", "daemonsets", "daemonset"),
	of("apps", "v1", "deployments", "deployment"),
	of("apps", "v1", "replicasets", "replicaset"),
	of("apps", "v1", "statefulsets", "statefulset"),
	of("autoscaling", "v2", "horizontalpodautoscalers", "horizontalpodautoscaler"),
	of("batch", "v1", "cronjobs", "cronjob"),
	of("batch", "v1", "jobs", "job").labelled("job_name"),
	of("certificates.k8s.io", "v1", "certificatesigningrequests", "certificatesigningrequest").cluster(),
	of("coordination.k8s.io", "v1", "leases", "lease"),
	// Their namespaces are not in the metrics of kube-state-metrics before v2.11.0. Their names end in random letters.
	of("discovery.k8s.io", "v1", "endpointslices", "endpointslice").toldApartByName(),
	of("networking.k8s.io", "v1", "ingressclasses", "ingressclass").cluster(),
	of("networking.k8s.io", "v1", "ingresses", "ingress"),
	of("networking.k8s.io", "v1", "networkpolicies", "networkpolicy"),
	of("policy", "v1", "poddisruptionbudgets", "poddisruptionbudget"),
	of("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "clusterrolebinding").cluster(),
	of("rbac.authorization.k8s.io", "v1", "clusterroles", "clusterrole").cluster(),
	of("rbac.authorization.k8s.io", "v1", "rolebindings", "rolebinding"),
	of("rbac.authorization.k8s.io", "v1", "roles", "role"),
	of("storage.k8s.io", "v1", "storageclasses", "storageclass").cluster(),
	of("storage.k8s.io", "v1", "volumeattachments", "volumeattachment").cluster(),
)

func of(group, version, name, singular string) resource {
	return resource{
		name: name, singular: singular, label: singular, namespaced: true,
		groupVersionResource: schema.GroupVersionResource{Group: group, Version: version, Resource: name},
	}
}

func (r resource) cluster() resource {
	r.namespaced = false
	return r
}

func (r resource) toldApartByName() resource {
	r.byName = true
	return r
}

func (r resource) labelled(label string) resource {
	r.label = label
	return r
}

func index(all ...resource) map[string]resource {
	byName := make(map[string]resource, len(all))
	for _, one := range all {
		byName[one.name] = one
	}
	return byName
}

// in names the resource, and the namespace if it is limited to one.
func (r resource) in(namespace string) string {
	if namespace == "" {
		return r.name
	}
	return r.name + " in namespace " + namespace
}

// object is one of its objects.
func (r resource) object(namespace, name string) object {
	if !r.namespaced || r.byName {
		namespace = ""
	}
	return objectOf(namespace, name)
}

// owns tells whether a metric family is about this resource: kube_pod_info is about pods, and
// kube_poddisruptionbudget_created is not.
func (r resource) owns(family string) bool {
	rest, found := strings.CutPrefix(family, "kube_"+r.singular)
	return found && (rest == "" || rest[0] == '_')
}

// identifies tells whether a family has one series for each object, whatever is in the object. One such family is
// enough to read, where there are dozens.
func (r resource) identifies(family string) bool {
	switch strings.TrimPrefix(family, "kube_"+r.singular) {
	case "_created", "_info":
		return true
	case "_owner":
		return r.name == "leases"
	default:
		return false
	}
}
