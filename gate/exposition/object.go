package exposition

import "hash/fnv"

// Object identifies an object of a resource by the hash of its namespace and name. It takes 8 bytes, because there may be
// hundreds of thousands. The odds that two of a million have the same hash are 1 in 37 million.
type Object uint64

func objectOf(namespace, name string) Object {
	hash := fnv.New64a()
	// hash.Write never returns an error.
	_, _ = hash.Write([]byte(namespace))
	_, _ = hash.Write([]byte{'/'})
	_, _ = hash.Write([]byte(name))
	return Object(hash.Sum64())
}
