// Package gate decides whether a kube-state-metrics exposes all objects of its shard. It runs next to kube-state-metrics
// in each pod of a shard and answers its readiness probe. kube-state-metrics' own probes succeed long before its first
// lists are done. docs/gate.md has the measurements and the reasons.
//
// The objects come from package gate/apiserver, and what is exposed from package gate/ksm. Read these first. Then a check
// (check.go) compares both until nothing is missing, and the Gate (gate.go) follows each process of kube-state-metrics. An
// open gate measures (measure.go) and counts (count.go), and package gate/collectors exports the results.
package gate
