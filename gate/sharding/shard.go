// Package sharding computes which shard exports an object, as kube-state-metrics does in its own package sharding. It has no other input
// than the UID of the object and the number of shards.
package sharding

import (
	"hash/fnv"

	"github.com/dgryski/go-jump"
	"k8s.io/apimachinery/pkg/types"
)

// Shard is one part of the cluster's objects.
type Shard struct {
	// ID is the number of the shard, from 0 to Total-1.
	ID int32
	// Total is the number of shards; 1 shard has all objects.
	Total int32
}

// Has reports whether an object belongs to the shard.
func (s Shard) Has(uid types.UID) bool { return ShardOf(uid, s.Total) == s.ID }

// ShardOf is the number of the shard that an object belongs to. It computes the same as kube-state-metrics
// (pkg/sharding/listwatch.go): FNV-1a of the UID, then a jump consistent hash.
func ShardOf(uid types.UID, total int32) int32 {
	hash := fnv.New64a()
	// hash.Write never returns an error.
	_, _ = hash.Write([]byte(uid))
	return jump.Hash(hash.Sum64(), int(total))
}
