package exposition

import (
	"bufio"
	"fmt"
	"io"
)

// CountCustom counts the series of families that belong to no built-in resource.
func CountCustom(from io.Reader) (int, error) {
	lines := bufio.NewScanner(from)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	count, current, isCustom := 0, "", false
	for lines.Scan() {
		line := lines.Bytes()
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if familyName := familyOf(line); string(familyName) != current {
			current = string(familyName)
			isCustom = ownerOf(current) == nil
		}
		if isCustom {
			count++
		}
	}
	if err := lines.Err(); err != nil {
		return 0, fmt.Errorf("read metrics: %w", err)
	}
	return count, nil
}
