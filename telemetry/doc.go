// Package telemetry reads what a kube-state-metrics tells of itself: the controller learns versions from it, and the gate
// tells processes apart and measures them. Package measurements reads the metrics of gates with it. It depends on no types of Kubernetes, which would be more than the
// rest of the gate, of which there is one in each pod.
package telemetry
