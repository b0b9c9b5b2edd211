package gate

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
)

// tally counts the series and the objects of an exposition. It holds one line at a time.
//
// kube-state-metrics writes all series of an object in a family one after another. So the number of objects in a family is
// how often the object changes from line to line. A resource has as many objects as its family with the most.
type tally struct {
	series int64
	// objects is the number of objects of each resource that has a family, by the resource's name.
	objects map[string]int64

	// of is the resource of the current family, nil if the family is of none, and mark what precedes its objects' names.
	of   *resource
	mark []byte
	// changes is how many objects the current family has had, and last the key of the latest.
	changes   int64
	last, key []byte
}

var namespaceMark = []byte(`namespace="`)

// read counts all lines.
func (t *tally) read(from io.Reader) error {
	t.objects = map[string]int64{}
	lines := bufio.NewScanner(from)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	var current string
	for lines.Scan() {
		line := lines.Bytes()
		family := familyOf(line)
		if len(family) == 0 {
			continue
		}
		if string(family) != current {
			current = string(family)
			t.begin(current)
		}
		if line[0] != '#' {
			t.series++
			t.count(line)
		}
	}
	t.end()
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read metrics: %w", err)
	}
	return nil
}

// begin ends the current family and starts another.
func (t *tally) begin(family string) {
	t.end()
	t.of, t.changes, t.last = ownerOf(family), 0, t.last[:0]
	if t.of != nil {
		t.mark = []byte(t.of.label + `="`)
	}
}

func (t *tally) end() {
	if t.of != nil {
		t.objects[t.of.name] = max(t.objects[t.of.name], t.changes)
	}
}

// count takes the object of a series into account.
func (t *tally) count(line []byte) {
	if t.of == nil {
		return
	}
	name := valueAfter(line, t.mark)
	if len(name) == 0 {
		return
	}
	t.key = t.key[:0]
	if t.of.namespaced {
		t.key = append(t.key, valueAfter(line, namespaceMark)...)
	}
	t.key = append(append(t.key, '/'), name...)
	if !bytes.Equal(t.key, t.last) {
		t.changes++
		t.key, t.last = t.last, t.key
	}
}

// valueAfter is the value of the label that a mark such as pod=" begins; empty if there is none. No value of another label
// has the mark, because a quote in a value follows a backslash.
func valueAfter(line, mark []byte) []byte {
	for {
		at := bytes.Index(line, mark)
		if at <= 0 {
			return nil
		}
		before, value := line[at-1], line[at+len(mark):]
		if before == '{' || before == ',' {
			return value[:max(0, bytes.IndexByte(value, '"'))]
		}
		line = value
	}
}

// ownerOf is the resource that a family is about; nil if it is none of the known ones.
func ownerOf(family string) *resource {
	for _, of := range resources {
		if of.owns(family) {
			return &of
		}
	}
	return nil
}
