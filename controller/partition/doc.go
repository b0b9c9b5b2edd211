// Package partition decides about the shards of a KSMScale. Its input is a plan of package plans and a Snapshot of package observation.
// Decide returns which partitions to create, keep and retire, and what the desired partition awaits. PausedShards returns the shards
// whose scale-up is paused, and RolloutLimits decides whether a shard may replace its pods now. All functions are pure.
//
// Package controller carries the decisions out, and package status reports them; read status next.
package partition
