// Package compatibility runs the versions of Kubernetes and of kube-state-metrics that docs/supported-versions.md names. On each
// Kubernetes, it runs the main walk, an upgrade, and a reshard. It runs the gate with each kube-state-metrics. `make
// compatibility` runs it. The folder kube-state-metrics has a module for each version that no other test runs.
package compatibility
