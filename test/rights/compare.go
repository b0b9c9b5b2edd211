package main

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"

	"github.com/example/ksmscale/test/cluster/audit"
)

// comparison is what requests say about rights.
type comparison struct {
	granted []right
	// uses is how many different requests needed a right.
	uses map[right]int
	// missing are requests that no right permits and that were refused each time, each with how often different objects had it.
	missing map[right]int
}

// compare counts what each right permitted. Three kinds of requests do not count. What no right permits, but was not always
// refused: built-in roles, or roles of a test, permit that, and an API server that has just started knows no role yet. What
// a right permits, but was refused: a test took the right away, or it is optional, or the binding was too new. And what
// accounts of others asked.
func compare(granted []right, requests []audit.Request) comparison {
	c := comparison{granted: granted, uses: map[right]int{}, missing: map[right]int{}}
	accepted := map[right]bool{}
	for _, request := range requests {
		permitted := false
		for _, one := range granted {
			if !one.permits(request) {
				continue
			}
			permitted = true
			if !request.Refused {
				c.uses[one]++
			}
		}
		user := ours(granted, request.User)
		if user == "" || permitted {
			continue
		}
		asked := right{User: user, Group: request.Group, Resource: request.Resource, Path: request.Path, Verb: request.Verb}
		if request.Refused {
			c.missing[asked]++
		} else {
			accepted[asked] = true
		}
	}
	maps.DeleteFunc(c.missing, func(asked right, _ int) bool { return accepted[asked] })
	return c
}

// ours returns the pattern of an account that has rights, or "".
func ours(granted []right, user string) string {
	for _, one := range granted {
		if matches, err := path.Match(one.User, user); err == nil && matches {
			return one.User
		}
	}
	return ""
}

// problems returns an error for each right that is missing, and for each exception that is none. It also returns an error
// for each right that no request needed, if it is for one of the suites to use.
func (c comparison) problems(exceptions exceptions, suites ...string) []error {
	var problems []error
	for _, one := range slices.SortedFunc(maps.Keys(c.missing), compareRights) {
		if exceptions.refused[one.String()] == "" {
			problems = append(problems, fmt.Errorf("missing: %s was refused: grant it in config/rbac or controller/rbac.go, or do not ask", one))
		}
	}
	known := map[string]bool{}
	for _, one := range c.granted {
		known[one.String()] = true
		if err := c.use(one, exceptions, suites); err != nil {
			problems = append(problems, err)
		}
	}
	for _, reasons := range []map[string]string{exceptions.unused, exceptions.seldom, exceptions.pods} {
		for _, text := range slices.Sorted(maps.Keys(reasons)) {
			if !known[text] {
				problems = append(problems, fmt.Errorf("not granted: %s: remove it from the exceptions", text))
			}
		}
	}
	return problems
}

// use returns an error if a right is used or not, and should not be.
func (c comparison) use(one right, exceptions exceptions, suites []string) error {
	text := one.String()
	switch {
	case c.uses[one] > 0 && exceptions.unused[text] != "":
		return fmt.Errorf("used: %s: remove it from the exceptions", text)
	case c.uses[one] > 0 || exceptions.unused[text] != "" || exceptions.seldom[text] != "":
		return nil
	case slices.Contains(suites, exceptions.suiteOf(one)):
		return fmt.Errorf("unused: %s: remove it, or test what needs it", text)
	}
	return nil
}

func compareRights(a, b right) int { return cmp.Compare(a.String(), b.String()) }
