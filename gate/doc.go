// Package gate tells whether a kube-state-metrics exposes its whole share of the cluster's objects. It runs beside
// kube-state-metrics in each shard pod and answers its readiness probe, because kube-state-metrics' own probes say
// that it is ready long before its first lists are done. docs/gate.md has what was measured, and why it is done
// the way it is.
package gate
