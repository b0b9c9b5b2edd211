// Package nodes maintains the picture of the cluster from which plans are computed. It counts nodes as they come, change
// and go, for each distinct spec.nodes. So the cost of a request does not depend on the number of nodes. It keeps no Node
// objects, but what selections and placements can depend on, once for all nodes that are alike. Its input is a watch of
// nodes, and its output is a scaling.Cluster. Read package scaling next, and then plans.
package nodes
