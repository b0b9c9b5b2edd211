// Package measurements is the contract between a gate and its readers. It has the names of the metrics in which a gate
// exports its measurements of kube-state-metrics, and it reads them. Package gate writes these metrics. Package loads
// divides replicas by the CPU in them. The package imports no types of Kubernetes, because each pod of a shard runs a
// gate.
package measurements
