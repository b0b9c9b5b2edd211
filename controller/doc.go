// Package controller runs the reconcile loop of KSMScales and contains all of its effects: watches, server-side apply, deletion, direct
// scaling and events. The loop follows the data through the packages below:
//
//   - objects: a KSMScale and a planned shard to the desired objects
//   - observation: what exists, as one Snapshot
//   - objectcounts: how many objects the cluster has, for the first sizes
//   - partition: a plan and a Snapshot to a Decision
//   - status: plan, Snapshot, Decision and errors to the status
//   - metrics: KSMScales and their status to Prometheus metrics
//   - registration: the APIService of external metrics and its certificate
//   - flags: the command line to the options
//
// Only this package imports all of them. Start at Reconcile in reconciler.go, which reads as their table of contents; run.go wires
// everything together.
package controller
