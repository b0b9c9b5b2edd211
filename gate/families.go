package gate

import (
	_ "embed"
	"strings"
)

// familiesText has the versions of kube-state-metrics that are tested, and the names of all families that these make of
// objects, but for those of custom resources. The names are followed by optIn where that is so.
//
//go:embed families.txt
var familiesText string

const optIn = "opt-in"

// family is a family of metrics that kube-state-metrics is known to make of objects.
type family struct {
	name string
	// optIn is whether it is exported only if --metric-opt-in-list has it. Of a family that differs in that from version to
	// version there are two.
	optIn bool
}

var knownFamilies = parseFamilies(familiesText)

func parseFamilies(text string) []family {
	var families []family
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); fields[0] != "#" {
			families = append(families, family{name: fields[0], optIn: len(fields) > 1 && fields[1] == optIn})
		}
	}
	return families
}
