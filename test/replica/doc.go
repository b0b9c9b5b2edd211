// Package replica runs the programs of one replica of a shard next to a local cluster: a real kube-state-metrics and its gate. It
// also fills the cluster with pods of a usual size, which they export. The programs in test/sizing and test/performance
// measure both.
package replica
