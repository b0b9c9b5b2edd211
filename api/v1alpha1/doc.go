// Package v1alpha1 is the API of KSMScale. It is the only contract between the adapter and the controller. It has the
// custom resource, the types and reasons of its conditions, and the names of the external metrics. It also has the
// labels and names of the objects of a shard. Read scaling next: it turns a KSMScaleSpec and the size of the cluster
// into replicas per shard.
//
// +kubebuilder:object:generate=true
// +groupName=monitor.example.com
package v1alpha1
