package gate

import (
	_ "embed"
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/version"
)

// familiesText has the versions of kube-state-metrics that are tested, and the names of all families that these make of
// objects, but for those of custom resources. The names are followed by optIn where that is so.
//
//go:embed families.txt
var familiesText string

// plainText has the families that plain objects have, as far as they are exported at all (test/e2e/families_test.go).
//
//go:embed plain.txt
var plainText string

const optIn = "opt-in"

// family is a family of metrics that kube-state-metrics is known to make of objects.
type family struct {
	name string
	// plain is whether a plain object has it, and not only objects with something special, such as a deletion timestamp.
	plain bool
	// optIn is whether it is exported only if --metric-opt-in-list has it. Of a family that differs in that from version to
	// version there are two.
	optIn bool
}

// knownFamilies are those of the versions up to newestKnown.
var knownFamilies, newestKnown = parseFamilies(familiesText, plainText)

func parseFamilies(text, plain string) (families []family, newest *version.Version) {
	newest = version.MustParseGeneric("0.0.0")
	plainFamilies := sets.New(strings.Fields(plain)...)
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if fields[0] != "#" {
			families = append(families, family{name: fields[0], plain: plainFamilies.Has(fields[0]), optIn: len(fields) > 1 && fields[1] == optIn})
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

// mayHaveMoreFamilies tells whether a version of kube-state-metrics, as it names itself, may have families that are not
// known. None up to the newest that is known was found to have any.
func mayHaveMoreFamilies(said string) bool {
	parsed, err := version.ParseGeneric(said)
	return err != nil || parsed.GreaterThan(newestKnown)
}
