package gate

import (
	"hash/fnv"

	"github.com/dgryski/go-jump"
	"k8s.io/apimachinery/pkg/types"
)

// Share is the part of the cluster's objects that one shard exports.
type Share struct {
	// Shard is the number of the shard, from 0 to TotalShards-1.
	Shard int32
	// TotalShards is the number of shards that all objects are divided among; 1 for all of them.
	TotalShards int32
}

// Has tells whether an object is part of it, as kube-state-metrics does (pkg/sharding/listwatch.go): FNV-1a of the
// UID, then jump consistent hash.
func (s Share) Has(uid types.UID) bool {
	hash := fnv.New64a()
	// A hash never returns an error.
	_, _ = hash.Write([]byte(uid))
	return jump.Hash(hash.Sum64(), int(s.TotalShards)) == s.Shard
}

// object stands for an object's namespace and name: 8 bytes, where there may be hundreds of thousands. The odds
// that two of a million are the same are 1 in 37 million.
type object uint64

func objectOf(namespace, name string) object {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(namespace))
	_, _ = hash.Write([]byte{'/'})
	_, _ = hash.Write([]byte(name))
	return object(hash.Sum64())
}
