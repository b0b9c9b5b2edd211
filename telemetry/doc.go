// Package telemetry reads what a kube-state-metrics tells of itself: package loads measures by it, the controller learns
// versions from it, and the gate tells processes apart. It depends on no types of Kubernetes, which would be more than the
// rest of the gate, of which there is one in each pod.
package telemetry
