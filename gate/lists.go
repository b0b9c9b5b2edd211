package gate

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/example/ksmscale/ksmflags"
)

// anyResource stands for every resource in the lists of labels and annotations.
const anyResource = "*"

// lists are the lists of metrics, which decide the families that kube-state-metrics exports. The metrics do not show that.
// A resource without any remaining family looks like a resource that is not listed yet: both have no series.
type lists struct {
	allowed, denied, optedIn []*regexp.Regexp
	// labelled and annotated are the resources in the lists of labels and annotations. kube-state-metrics exports these
	// families of other resources too, but without series.
	labelled, annotated sets.Set[string]
}

// newLists returns an error for a regular expression that Go does not support, such as a lookahead. kube-state-metrics
// supports these from v2.18.0 on.
func newLists(options *Options) (lists, error) {
	allowed, err := compile(options.MetricAllowlist)
	if err != nil {
		return lists{}, err
	}
	denied, err := compile(options.MetricDenylist)
	if err != nil {
		return lists{}, err
	}
	optedIn, err := compile(options.MetricOptInList)
	return lists{
		allowed: allowed, denied: denied, optedIn: optedIn,
		labelled:  sets.New(ksmflags.Resources(options.MetricLabelsAllowlist)...),
		annotated: sets.New(ksmflags.Resources(options.MetricAnnotationsAllowlist)...),
	}, err
}

func compile(expressions []string) ([]*regexp.Regexp, error) {
	var compiled []*regexp.Regexp
	for _, expression := range expressions {
		one, err := regexp.Compile(expression)
		if err != nil {
			return nil, fmt.Errorf("a list of metrics has the regular expression %q, which Go does not support: %w", expression, err)
		}
		compiled = append(compiled, one)
	}
	return compiled, nil
}

// leave reports whether the lists leave a family that all objects of the resource have. mayHaveMore is whether the version
// may have unknown families.
func (l lists) leave(kind resource, mayHaveMore bool) bool {
	for _, known := range knownFamilies {
		if known.plain && kind.owns(known.name) && l.export(kind, known) {
			return true
		}
	}
	return mayHaveMore && l.leaveMore(kind)
}

// leaveMore reports whether the lists leave unknown families. An allowlist does if it names one. A denylist does unless a
// pattern denies every family of the resource. A denylist of single names was written for a version without other
// families, and a newer version may have more.
//
// If the gate waits for families that do not exist, it opens at its deadline, and its alert has the fix. If it
// did not wait for families that exist, each rollout would have an unnoticed gap.
func (l lists) leaveMore(kind resource) bool {
	if len(l.allowed) == 0 {
		return !matchesAny(l.denied, "kube_"+kind.singular+"_unheard_of")
	}
	return slices.ContainsFunc(l.allowed, func(allowed *regexp.Regexp) bool {
		return kind.owns(strings.TrimPrefix(allowed.String(), "^")) && !slices.ContainsFunc(knownFamilies, func(known family) bool {
			return kind.owns(known.name) && allowed.MatchString(known.name)
		})
	})
}

// export reports whether there are series of a family.
func (l lists) export(kind resource, known family) bool {
	switch strings.TrimPrefix(known.name, "kube_"+kind.singular) {
	case "_labels":
		// kube-state-metrics always exports the labels of volume attachments (internal/store/volumeattachment.go).
		if kind.name != "volumeattachments" && !l.labelled.HasAny(kind.name, anyResource) {
			return false
		}
	case "_annotations":
		if !l.annotated.HasAny(kind.name, anyResource) {
			return false
		}
	}
	if known.optIn && !matchesAny(l.optedIn, known.name) {
		return false
	}
	if len(l.allowed) > 0 {
		return matchesAny(l.allowed, known.name)
	}
	return !matchesAny(l.denied, known.name)
}

func matchesAny(expressions []*regexp.Regexp, familyName string) bool {
	return slices.ContainsFunc(expressions, func(one *regexp.Regexp) bool { return one.MatchString(familyName) })
}
