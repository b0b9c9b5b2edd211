package observation

import (
	"cmp"
	"slices"
)

// SortedByName returns pointers to objects in the order of their names, so a message about the first object repeats exactly.
func SortedByName[T any, P interface {
	*T
	GetName() string
}](objects []T) []*T {
	ordered := make([]*T, len(objects))
	for i := range objects {
		ordered[i] = &objects[i]
	}
	slices.SortFunc(ordered, func(a, b *T) int { return cmp.Compare(P(a).GetName(), P(b).GetName()) })
	return ordered
}
