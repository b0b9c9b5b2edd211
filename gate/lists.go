package gate

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"
)

// anyResource stands for every resource in the lists of labels and annotations.
const anyResource = "*"

// lists say which families kube-state-metrics exports. What it exposes does not say so: of a resource that has no family
// left it exposes the same as of one that it has not listed yet, which is nothing.
type lists struct {
	allowed, denied, optedIn []*regexp.Regexp
	// labelled and annotated are the resources of which there are labels and annotations: the families are exported
	// of others too, but have no series.
	labelled, annotated sets.Set[string]
}

// newLists returns an error for a regular expression that Go does not know, such as one that looks ahead, which
// versions from v2.18.0 do.
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
		labelled: resourcesOf(options.MetricLabelsAllowlist), annotated: resourcesOf(options.MetricAnnotationsAllowlist),
	}, err
}

func compile(expressions []string) ([]*regexp.Regexp, error) {
	var compiled []*regexp.Regexp
	for _, expression := range expressions {
		one, err := regexp.Compile(expression)
		if err != nil {
			return nil, fmt.Errorf("a list of metrics has the regular expression %q, which the gate cannot read: %w", expression, err)
		}
		compiled = append(compiled, one)
	}
	return compiled, nil
}

// resourcesOf are those that a list such as pods=[app,team],nodes=[*] is about.
func resourcesOf(values []string) sets.Set[string] {
	found := sets.New[string]()
	for _, item := range values {
		if name, _, begins := strings.Cut(item, "="); begins {
			found.Insert(strings.TrimSpace(name))
		}
	}
	return found
}

// leave tells whether a resource has a family left that its objects have, in a version that may have more families than those known or not.
func (l lists) leave(of resource, mayHaveMore bool) bool {
	for _, family := range knownFamilies {
		if family.plain && of.owns(family.name) && l.export(of, family) {
			return true
		}
	}
	return mayHaveMore && l.leaveMore(of)
}

// leaveMore tells whether the lists leave families that are not known. An allowlist does if it has the name of one.
// A denylist does unless it denies whatever the resource has, by a pattern: one that names the families one by one was
// written for a version that has no others, and a newer one may. To wait in vain, because it has none either, costs the
// time until the deadline and an alert, which tells how to mend it for good; not to wait for what there is would cost a
// gap in each rollout, which nobody is told of.
func (l lists) leaveMore(of resource) bool {
	if len(l.allowed) == 0 {
		return !matchesAny(l.denied, "kube_"+of.singular+"_unheard_of")
	}
	return slices.ContainsFunc(l.allowed, func(allowed *regexp.Regexp) bool {
		return of.owns(strings.TrimPrefix(allowed.String(), "^")) && !slices.ContainsFunc(knownFamilies, func(family family) bool {
			return of.owns(family.name) && allowed.MatchString(family.name)
		})
	})
}

// export tells whether there are series of a family.
func (l lists) export(of resource, family family) bool {
	switch strings.TrimPrefix(family.name, "kube_"+of.singular) {
	case "_labels":
		// Those of volume attachments are always exported (internal/store/volumeattachment.go).
		if of.name != "volumeattachments" && !l.labelled.HasAny(of.name, anyResource) {
			return false
		}
	case "_annotations":
		if !l.annotated.HasAny(of.name, anyResource) {
			return false
		}
	}
	if family.optIn && !matchesAny(l.optedIn, family.name) {
		return false
	}
	if len(l.allowed) > 0 {
		return matchesAny(l.allowed, family.name)
	}
	return !matchesAny(l.denied, family.name)
}

func matchesAny(expressions []*regexp.Regexp, family string) bool {
	return slices.ContainsFunc(expressions, func(one *regexp.Regexp) bool { return one.MatchString(family) })
}
