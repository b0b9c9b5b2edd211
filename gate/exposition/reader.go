package exposition

import (
	"bytes"
	"fmt"
	"io"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
)

const (
	// maxLine is far above the longest line. Annotations make the longest lines, and an object has at most 1.5 MiB.
	maxLine = 4 << 20
	// chunkSize limits how much text is parsed at a time, and so the memory. The metrics of a large shard have hundreds of
	// megabytes.
	chunkSize = 256 << 10
)

// Reader finds the objects that metrics of kube-state-metrics name.
type Reader struct {
	// Requested are the resources to read.
	Requested []Resource
	// Every has the names of resources whose families must all be read, because no single family identifies the objects.
	Every sets.Set[string]
	// Seen is called for each object, possibly more than once.
	Seen func(Resource, Object)
	// Named, if it is set, is called instead of Seen, with the name that identifies the object in metrics.
	Named func(Resource, types.NamespacedName)

	exposed, identified sets.Set[string]
	chunk               bytes.Buffer
}

// Read stops once one family has identified the objects of each resource, because the rest would cost kube-state-metrics
// more than the gate. It returns the resources that have families, but no family that identifies the objects.
// --metric-allowlist or --metric-denylist may have removed that family.
func (r *Reader) Read(from io.Reader) (unidentified sets.Set[string], err error) {
	r.exposed, r.identified = sets.New[string](), sets.New[string]()
	lines := linesOf(from)
	var kind *Resource
	for lines.next() {
		if lines.begins {
			if err := r.flush(kind); err != nil {
				return nil, err
			}
			if len(r.identified) == len(r.Requested) {
				return sets.Set[string]{}, nil
			}
			kind = r.resourceOf(lines.family)
		}
		line := lines.series()
		if kind == nil || line == nil {
			continue
		}
		r.chunk.Write(line)
		r.chunk.WriteByte('\n')
		if r.chunk.Len() >= chunkSize {
			if err := r.flush(kind); err != nil {
				return nil, err
			}
		}
	}
	if err := lines.err(); err != nil {
		return nil, err
	}
	return r.exposed.Difference(r.identified), r.flush(kind)
}

// familyOf is the name of the family of a header or a series; empty for other lines. Series may come without headers.
// Versions before v2.20.0 omit headers if the first namespace of --namespaces has no object.
func familyOf(line []byte) []byte {
	for _, header := range []string{"# HELP ", "# TYPE "} {
		if rest, isHeader := bytes.CutPrefix(line, []byte(header)); isHeader {
			name, _, _ := bytes.Cut(rest, []byte{' '})
			return name
		}
	}
	if len(line) == 0 || line[0] == '#' {
		return nil
	}
	return line[:max(0, bytes.IndexAny(line, "{ "))]
}

// resourceOf is the resource whose objects are read from a family; nil if no object is read from it.
func (r *Reader) resourceOf(familyName string) *Resource {
	for i := range r.Requested {
		kind := &r.Requested[i]
		if !kind.Owns(familyName) {
			continue
		}
		r.exposed.Insert(kind.Name)
		switch {
		case r.identified.Has(kind.Name):
			return nil
		case kind.identifies(familyName):
			r.identified.Insert(kind.Name)
			return kind
		case r.Every.Has(kind.Name):
			return kind
		}
		return nil
	}
	return nil
}

// flush parses the chunk, whose lines all belong to one family.
func (r *Reader) flush(kind *Resource) error {
	if r.chunk.Len() == 0 {
		return nil
	}
	defer r.chunk.Reset()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(&r.chunk)
	if err != nil {
		return fmt.Errorf("parse metrics of %s: %w", kind.Name, err)
	}
	for _, parsed := range families {
		for _, metric := range parsed.GetMetric() {
			namespace, name := kind.nameIn(metric)
			switch {
			case name == "":
			case r.Named != nil:
				r.Named(*kind, kind.Key(namespace, name))
			default:
				r.Seen(*kind, kind.Object(namespace, name))
			}
		}
	}
	return nil
}

// nameIn is the namespace and the name of the object that a series names; without a name if it names none.
func (r *Resource) nameIn(metric *dto.Metric) (namespace, name string) {
	for _, label := range metric.GetLabel() {
		switch label.GetName() {
		case r.label:
			name = label.GetValue()
		case "namespace":
			namespace = label.GetValue()
		}
	}
	return namespace, name
}
