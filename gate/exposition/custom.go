package exposition

import "io"

// CountCustom counts the series of families that belong to no built-in resource.
func CountCustom(from io.Reader) (int, error) {
	lines := linesOf(from)
	count, isCustom := 0, false
	for lines.next() {
		if lines.begins {
			isCustom = ownerOf(lines.family) == nil
		}
		if isCustom && lines.series() != nil {
			count++
		}
	}
	return count, lines.err()
}
