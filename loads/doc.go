// Package loads measures how the load is divided among the shards of a KSMScale with the strategy least-loaded. Its input
// is the CPU of the shards' pods, which their gates export (reading.go). Its output is weights (weights.go) that change
// only after a lasting change of the load (partition.go). The controller records the weights in the status, and package
// scaling plans from them.
package loads
