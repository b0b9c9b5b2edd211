// Package telemetry reads the metrics that a kube-state-metrics exports about itself. Package loads measures loads with
// them, the controller reads versions, and the gate identifies processes. The package imports no types of Kubernetes.
// These would be larger than the rest of the gate, and each pod has a gate.
package telemetry
