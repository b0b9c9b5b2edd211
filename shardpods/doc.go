// Package shardpods tells the pods of a KSMScale's shards from other pods with the same labels. Its input are the Deployments
// of the shards and the pods that have their labels. Packages loads and controller take its output for the pods of the shards.
package shardpods
