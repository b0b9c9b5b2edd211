// Package v1alpha1 is the API of KSMScale, and the only contract between the adapter and the controller: the
// custom resource, the types of its conditions with their reasons, the names of the external metrics, and the
// labels and names of the objects that make up a shard. Read scaling next: it turns a KSMScaleSpec and the size
// of the cluster into replicas per shard.
//
// +kubebuilder:object:generate=true
// +groupName=monitor.example.com
package v1alpha1
