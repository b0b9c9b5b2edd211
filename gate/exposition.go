package gate

import (
	"bufio"
	"bytes"
	"fmt"
	"io"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"k8s.io/apimachinery/pkg/util/sets"
)

const (
	// maxLine is far above the longest line that annotations can make: an object has at most 1.5 MiB.
	maxLine = 4 << 20
	// chunkSize bounds what is parsed, and so held, at once. A large shard's metrics have hundreds of megabytes.
	chunkSize = 256 << 10
)

// reader reads metrics of kube-state-metrics for the objects that they are about.
type reader struct {
	// wanted are the resources to read.
	wanted []resource
	// every has the names of resources of which every family is to be read, because none identifies the objects.
	every sets.Set[string]
	// seen is called for each object, possibly more than once.
	seen func(resource, object)

	exposed, identified sets.Set[string]
	chunk               bytes.Buffer
}

// read reads on until one family has identified the objects of each resource: the rest would cost
// kube-state-metrics more than the gate. It returns the names of the resources that have families, but none that
// identifies the objects: it may be left out by --metric-allowlist or --metric-denylist.
func (r *reader) read(from io.Reader) (unidentified sets.Set[string], err error) {
	r.exposed, r.identified = sets.New[string](), sets.New[string]()
	lines := bufio.NewScanner(from)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	var of *resource
	var current string
	for lines.Scan() {
		line := lines.Bytes()
		family := familyOf(line)
		if len(family) == 0 {
			continue
		}
		if string(family) != current {
			if err := r.flush(of); err != nil {
				return nil, err
			}
			if len(r.identified) == len(r.wanted) {
				return sets.Set[string]{}, nil
			}
			current = string(family)
			of = r.resourceOf(current)
		}
		if of == nil || line[0] == '#' {
			continue
		}
		r.chunk.Write(line)
		r.chunk.WriteByte('\n')
		if r.chunk.Len() >= chunkSize {
			if err := r.flush(of); err != nil {
				return nil, err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	return r.exposed.Difference(r.identified), r.flush(of)
}

// familyOf is the name of the family that a header or a series is of; empty if it is neither. Series may come without
// headers: versions before v2.20.0 leave these out when the first namespace of --namespaces has no object.
func familyOf(line []byte) []byte {
	for _, header := range []string{"# HELP ", "# TYPE "} {
		if rest, found := bytes.CutPrefix(line, []byte(header)); found {
			name, _, _ := bytes.Cut(rest, []byte{' '})
			return name
		}
	}
	if len(line) == 0 || line[0] == '#' {
		return nil
	}
	return line[:max(0, bytes.IndexAny(line, "{ "))]
}

// resourceOf is the resource whose objects are to be read from a family, if any.
func (r *reader) resourceOf(family string) *resource {
	for i := range r.wanted {
		of := &r.wanted[i]
		if !of.owns(family) {
			continue
		}
		r.exposed.Insert(of.name)
		switch {
		case r.identified.Has(of.name):
			return nil
		case of.identifies(family):
			r.identified.Insert(of.name)
			return of
		case r.every.Has(of.name):
			return of
		}
		return nil
	}
	return nil
}

// flush parses the chunk, whose lines are all of one family.
func (r *reader) flush(of *resource) error {
	if r.chunk.Len() == 0 {
		return nil
	}
	defer r.chunk.Reset()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(&r.chunk)
	if err != nil {
		return fmt.Errorf("parse metrics of %s: %w", of.name, err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if about, ok := of.objectOf(metric); ok {
				r.seen(*of, about)
			}
		}
	}
	return nil
}

// objectOf is the object that a series is about.
func (r *resource) objectOf(metric *dto.Metric) (object, bool) {
	var namespace, name string
	for _, label := range metric.GetLabel() {
		switch label.GetName() {
		case r.label:
			name = label.GetValue()
		case "namespace":
			namespace = label.GetValue()
		}
	}
	return r.object(namespace, name), name != ""
}
