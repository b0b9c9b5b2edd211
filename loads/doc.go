// Package loads measures how the load is divided among the shards of a KSMScale with the strategy least-loaded. Its input
// is the CPU that the shards' pods use, as their gates export it (reading.go); its output are weights (weights.go) that
// change only when the load has changed for good (partition.go). The controller records them in the status, which package
// scaling plans from.
package loads
