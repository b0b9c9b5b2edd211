package nodes

// sharing has the distinct values of a property of nodes.
type sharing[T comparable] map[T]*shared[T]

// shared is a value, and the number of nodes that have it.
type shared[T comparable] struct {
	key   T
	nodes int
}

// take returns the value for one more node.
func (s sharing[T]) take(key T) *shared[T] {
	value := s[key]
	if value == nil {
		value = &shared[T]{key: key}
		s[key] = value
	}
	value.nodes++
	return value
}

// release removes a node from a value, and the value after its last node.
func (s sharing[T]) release(value *shared[T]) {
	if value.nodes--; value.nodes == 0 {
		delete(s, value.key)
	}
}
