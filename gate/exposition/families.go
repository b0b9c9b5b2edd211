package exposition

import (
	_ "embed"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/version"
)

// familiesText has the tested versions of kube-state-metrics, and the names of all their families of objects, without
// custom resources. optIn follows the name of an opt-in family.
//
//go:embed families.txt
var familiesText string

// plainText has the families that every plain object has, if they are exported (test/e2e/families_test.go).
//
//go:embed plain.txt
var plainText string

const optIn = "opt-in"

// Family is a known family of metrics of objects.
type Family struct {
	// Name is its full name.
	Name string
	// Plain is whether every plain object has it. Other families need something special, such as a deletion timestamp.
	Plain bool
	// optIn is whether it is exported only if --metric-opt-in-list contains it. A family that is opt-in in some versions
	// only has two entries.
	optIn bool
}

// knownFamilies are the families of the versions up to newestKnown.
var knownFamilies, newestKnown = parseFamilies(familiesText, plainText)

func parseFamilies(text, plain string) (families []Family, newest *version.Version) {
	newest = version.MustParseGeneric("0.0.0")
	plainFamilies := sets.New(strings.Fields(plain)...)
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if fields[0] != "#" {
			families = append(families, Family{Name: fields[0], Plain: plainFamilies.Has(fields[0]), optIn: len(fields) > 1 && fields[1] == optIn})
			continue
		}
		for _, known := range fields[1:] {
			if one := version.MustParseGeneric(known); one.GreaterThan(newest) {
				newest = one
			}
		}
	}
	return families, newest
}

// Families are the known families of the resource.
func (r Resource) Families() []Family {
	return slices.DeleteFunc(slices.Clone(knownFamilies), func(known Family) bool { return !r.Owns(known.Name) })
}

// mayHaveMore reports whether a version that kube-state-metrics reports may have families that are not known.
// Versions up to the newest known one have no others.
func mayHaveMore(reported string) bool {
	parsed, err := version.ParseGeneric(reported)
	return err != nil || parsed.GreaterThan(newestKnown)
}
