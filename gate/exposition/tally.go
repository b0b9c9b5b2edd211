package exposition

import (
	"bytes"
	"io"

	"k8s.io/apimachinery/pkg/util/sets"
)

// Tally counts the series and the objects of an exposition. It has one line in memory at a time.
//
// In each family, kube-state-metrics writes all series of an object one after another. So the number of objects in a
// family is the number of changes of the object from line to line. A resource has as many objects as its family with the
// most.
type Tally struct {
	// Series is the number of series.
	Series int64
	// Objects is the number of objects of each resource that has a family, by the resource's name.
	Objects map[string]int64

	// Has reports whether the own shard has an object with a UID; nil to skip that. Foreign then has how many objects of
	// other shards each resource has. Only families that identify objects and contain UIDs show that.
	Has     func(uid string) bool
	Foreign map[string]int64
	// Identified has the resources with a family that has a series for each object.
	Identified sets.Set[string]

	// of is the resource of the current family, or nil. mark is the text in front of its objects' names.
	of   *Resource
	mark []byte
	// changes is how many objects the current family has had, and last the key of the last one.
	changes   int64
	last, key []byte
	// identifies is whether the current family identifies objects, and foreign how many of them belong to other shards.
	identifies bool
	foreign    int64
}

var (
	namespaceMark = []byte(`namespace="`)
	uidMark       = []byte(`uid="`)
)

// Read counts all lines, and returns an error if it cannot read them.
func (t *Tally) Read(from io.Reader) error {
	t.Objects, t.Foreign, t.Identified = map[string]int64{}, map[string]int64{}, sets.New[string]()
	lines := linesOf(from)
	for lines.next() {
		if lines.begins {
			t.begin(lines.family)
		}
		if line := lines.series(); line != nil {
			t.Series++
			t.count(line)
		}
	}
	t.end()
	return lines.err()
}

// begin ends the current family and starts another.
func (t *Tally) begin(familyName string) {
	t.end()
	t.of, t.changes, t.foreign, t.last = ownerOf(familyName), 0, 0, t.last[:0]
	if t.of == nil {
		return
	}
	t.mark = []byte(t.of.label + `="`)
	if t.identifies = t.of.identifies(familyName); t.identifies {
		t.Identified.Insert(t.of.Name)
	}
}

func (t *Tally) end() {
	if t.of == nil {
		return
	}
	t.Objects[t.of.Name] = max(t.Objects[t.of.Name], t.changes)
	if t.foreign > 0 {
		t.Foreign[t.of.Name] = max(t.Foreign[t.of.Name], t.foreign)
	}
}

// count counts the object of a series.
func (t *Tally) count(line []byte) {
	if t.of == nil {
		return
	}
	name := valueAfter(line, t.mark)
	if len(name) == 0 {
		return
	}
	t.key = t.key[:0]
	if t.of.Namespaced {
		t.key = append(t.key, valueAfter(line, namespaceMark)...)
	}
	t.key = append(append(t.key, '/'), name...)
	if !bytes.Equal(t.key, t.last) {
		t.changes++
		t.key, t.last = t.last, t.key
		t.check(line)
	}
}

// check counts an object of another shard.
func (t *Tally) check(line []byte) {
	if t.Has == nil || !t.identifies {
		return
	}
	if uid := valueAfter(line, uidMark); len(uid) > 0 && !t.Has(string(uid)) {
		t.foreign++
	}
}

// valueAfter is the value of the label that starts with a mark such as pod="; empty without that label. The mark never
// occurs in the value of another label, because a quote in a value follows a backslash.
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

// ownerOf is the resource that a family belongs to; nil for a family of no built-in resource.
func ownerOf(familyName string) *Resource {
	for _, kind := range Resources {
		if kind.Owns(familyName) {
			return &kind
		}
	}
	return nil
}
