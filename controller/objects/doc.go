// Package objects builds the desired objects of a KSMScale as apply configurations. Its input is a KSMScale and a planned shard of
// package scaling. Its functions are pure: they have no client and no clock. There is a file for each kind. The arguments of
// kube-state-metrics are in args.go, and the metadata that all objects have in metadata.go.
//
// Package observation reads what came of these objects; read it next.
package objects
