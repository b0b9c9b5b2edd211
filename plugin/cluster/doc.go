// Package cluster reads a cluster for the commands of the plugin: KSMScales and their objects, nodes, and what the pods of shards answer
// through a tunnel of the API server. It only reads, and says which rights a user lacks. Package plugin has the commands.
package cluster
