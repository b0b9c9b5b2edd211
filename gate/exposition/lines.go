package exposition

import (
	"bufio"
	"fmt"
	"io"
)

// lines reads a text line by line, and keeps the family that the lines belong to. It skips lines without a family.
type lines struct {
	scanner *bufio.Scanner
	// family is the name of the family of the last line, and begins whether that line is the first of it.
	family string
	begins bool
}

func linesOf(from io.Reader) *lines {
	scanner := bufio.NewScanner(from)
	scanner.Buffer(make([]byte, 64<<10), maxLine)
	return &lines{scanner: scanner}
}

// next reads a line of a family. It returns false at the end, and after an error.
func (l *lines) next() bool {
	for l.scanner.Scan() {
		familyName := familyOf(l.scanner.Bytes())
		if len(familyName) == 0 {
			continue
		}
		if l.begins = string(familyName) != l.family; l.begins {
			l.family = string(familyName)
		}
		return true
	}
	return false
}

// series returns the last line, or nil if it is a header. It is valid until the next line.
func (l *lines) series() []byte {
	line := l.scanner.Bytes()
	if line[0] == '#' {
		return nil
	}
	return line
}

func (l *lines) err() error {
	if err := l.scanner.Err(); err != nil {
		return fmt.Errorf("read metrics: %w", err)
	}
	return nil
}
