// Package telemetry reads what a kube-state-metrics tells of itself, from the pod of a shard: package loads measures by
// it, and the controller learns versions from it.
package telemetry
