// Package completeness decides whether the shards of a partition export all objects of the cluster. Its input is what the
// gate of each pod has counted in each round. Its output is the number of missing objects of each resource, and their
// shards where they are known. It is pure: it has no client, and the caller passes the time. Package observation collects
// the counts, and package status reports the result.
package completeness
