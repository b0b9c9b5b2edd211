package exposition

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

// Lists are the lists of metrics that kube-state-metrics has, each with the items of one flag. They decide the families
// that it exports. The metrics do not show that. A resource without any remaining family looks like a resource that is not
// listed yet: both have no series.
type Lists struct {
	// Allow, Deny and OptIn contain families of metrics: regular expressions.
	Allow, Deny, OptIn []string
	// Labels and Annotations contain the labels and annotations of resources, such as pods=[app,team].
	Labels, Annotations []string
}

// Exported returns a function. For a version that kube-state-metrics reports, this function returns the resources of
// which the lists leave a family, in the order of all. It returns an error for a regular expression that Go does not
// support, such as a lookahead. kube-state-metrics supports these from v2.18.0 on.
func (l *Lists) Exported(all []Resource) (func(version string) []Resource, error) {
	compiled, err := l.compile()
	if err != nil {
		return nil, err
	}
	return func(version string) []Resource {
		more := mayHaveMore(version)
		return slices.DeleteFunc(slices.Clone(all), func(kind Resource) bool { return !compiled.leave(kind, more) })
	}, nil
}

// Identified returns the names of the resources of which the lists leave a family that has a series for each object. It
// returns an error as Exported does.
func (l *Lists) Identified(all []Resource) (sets.Set[string], error) {
	compiled, err := l.compile()
	if err != nil {
		return nil, err
	}
	identified := sets.New[string]()
	for _, kind := range all {
		if slices.ContainsFunc(kind.Families(), func(known Family) bool { return kind.identifies(known.Name) && compiled.export(kind, known) }) {
			identified.Insert(kind.Name)
		}
	}
	return identified, nil
}

func (l *Lists) compile() (lists, error) {
	allowed, err := compile(l.Allow)
	if err != nil {
		return lists{}, err
	}
	denied, err := compile(l.Deny)
	if err != nil {
		return lists{}, err
	}
	optedIn, err := compile(l.OptIn)
	return lists{
		allowed: allowed, denied: denied, optedIn: optedIn,
		labelled: sets.New(ksmflags.ResourcesOf(l.Labels)...), annotated: sets.New(ksmflags.ResourcesOf(l.Annotations)...),
	}, err
}

// lists are compiled Lists.
type lists struct {
	allowed, denied, optedIn []*regexp.Regexp
	// labelled and annotated are the resources in the lists of labels and annotations. kube-state-metrics exports these
	// families of other resources too, but without series.
	labelled, annotated sets.Set[string]
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
func (l lists) leave(kind Resource, mayHaveMore bool) bool {
	isLeft := func(known Family) bool { return known.Plain && l.export(kind, known) }
	return slices.ContainsFunc(kind.Families(), isLeft) || mayHaveMore && l.leaveMore(kind)
}

// leaveMore reports whether the lists leave unknown families. An allowlist does if it names one. A denylist does unless a
// pattern denies every family of the resource. A denylist of single names was written for a version without other
// families, and a newer version may have more.
//
// If the gate waits for families that do not exist, it opens at its deadline, and its alert has the fix. If it
// did not wait for families that exist, each rollout would have an unnoticed gap.
func (l lists) leaveMore(kind Resource) bool {
	if len(l.allowed) == 0 {
		return !matchesAny(l.denied, "kube_"+kind.singular+"_unheard_of")
	}
	return slices.ContainsFunc(l.allowed, func(allowed *regexp.Regexp) bool {
		return kind.Owns(strings.TrimPrefix(allowed.String(), "^")) && !slices.ContainsFunc(kind.Families(), func(known Family) bool {
			return allowed.MatchString(known.Name)
		})
	})
}

// export reports whether there are series of a family.
func (l lists) export(kind Resource, known Family) bool {
	switch strings.TrimPrefix(known.Name, "kube_"+kind.singular) {
	case "_labels":
		// kube-state-metrics always exports the labels of volume attachments (internal/store/volumeattachment.go).
		if kind.Name != "volumeattachments" && !l.labelled.HasAny(kind.Name, anyResource) {
			return false
		}
	case "_annotations":
		if !l.annotated.HasAny(kind.Name, anyResource) {
			return false
		}
	}
	if known.optIn && !matchesAny(l.optedIn, known.Name) {
		return false
	}
	if len(l.allowed) > 0 {
		return matchesAny(l.allowed, known.Name)
	}
	return !matchesAny(l.denied, known.Name)
}

func matchesAny(expressions []*regexp.Regexp, familyName string) bool {
	return slices.ContainsFunc(expressions, func(one *regexp.Regexp) bool { return one.MatchString(familyName) })
}
