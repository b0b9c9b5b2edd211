// Package telemetry reads the metrics that a kube-state-metrics exports about itself. The controller reads
// versions from them, and the gate identifies processes and measures them. Package measurements reads the metrics of gates with it. The package imports no types of Kubernetes.
// These would be larger than the rest of the gate, and each pod has a gate.
package telemetry
