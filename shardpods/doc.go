// Package shardpods finds the pods of a KSMScale's shards among pods with the same labels. Its input is the Deployments of
// the shards and the pods with their labels. It also reads several pods at the same time. Packages loads and controller read
// its output.
package shardpods
