// Package measurements is the contract between a gate and those that read it: the names of the metrics in which a gate
// exports what it has measured of its kube-state-metrics, and a reader of them. Package gate writes them. Package loads
// divides replicas by the CPU in them. It imports no types of Kubernetes, because each pod of a shard runs a gate.
package measurements
