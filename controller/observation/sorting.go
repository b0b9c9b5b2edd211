package observation

import (
	"cmp"
	"slices"
)

// SortedByName orders objects, so that messages about the first of them repeat exactly.
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
