// Package nodes keeps the picture of the cluster that plans are made from: it counts nodes as they come and go,
// so that asking costs the same whatever their number. Its input is a watch on nodes; its output is a
// scaling.Cluster. Package plans comes next.
package nodes
