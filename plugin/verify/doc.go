// Package verify compares the objects in the metrics of all shards with the objects of the cluster, for `kubectl ksmscale verify`. What
// each pod exposes and what the API server has come from package plugin/cluster. The result is a list of differences.
package verify
