// Package changes computes what a plan would change in the cluster, for `kubectl ksmscale plan`: new shards, scaling, a rollout or a
// reshard, with the pods, the time and the series of each. It is pure: a plan and a snapshot come in.
package changes
