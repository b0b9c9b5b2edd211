// Package gate decides whether a kube-state-metrics exposes all objects of its shard. It runs next to kube-state-metrics
// in each pod of a shard and answers its readiness probe. kube-state-metrics' own probes succeed long before its first
// lists are done. Package gate/exposition reads the exposed objects, and package telemetry the metrics that identify the
// process. docs/gate.md has the measurements and the reasons.
package gate
