// Package nodes keeps the picture of the cluster that plans use: it counts nodes as they come, change and go,
// in each of the ways that KSMScales have them counted, so that asking costs the same whatever their number. Its input
// is a watch on nodes; its output is a scaling.Cluster. Package plans comes next.
package nodes
