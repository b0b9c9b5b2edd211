package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// depth is how much of a vulnerable module a program has.
type depth string

const (
	// depthModule is for another package of the module than the vulnerable one.
	depthModule depth = "module"
	// depthPackage is for other functions of the package than the vulnerable ones.
	depthPackage depth = "package"
	// depthSymbol is for a vulnerable function itself.
	depthSymbol depth = "symbol"
)

// depths are all of them, in ascending order.
var depths = []depth{depthModule, depthPackage, depthSymbol}

// finding is a vulnerability of the programs of one module.
type finding struct {
	// module is the module of the programs.
	module string
	// vulnerability is its identifier, such as GO-2026-0001.
	vulnerability string
}

func (f finding) String() string { return f.vulnerability + " in programs of " + f.module }

// message is a part of one of the JSON objects that govulncheck writes one after the other.
type message struct {
	SBOM *struct {
		Roots []string `json:"roots"`
	} `json:"SBOM"`
	Finding *struct {
		OSV   string `json:"osv"`
		Trace []struct {
			Package  string `json:"package"`
			Function string `json:"function"`
		} `json:"trace"`
	} `json:"finding"`
}

// findings are the greatest depths of what govulncheck reports. It reports a vulnerable symbol once more for its package and
// for its module.
func findings(output io.Reader) (map[finding]depth, error) {
	actual := map[finding]depth{}
	module, scanned := "", false
	for decoder := json.NewDecoder(output); ; {
		var next message
		switch err := decoder.Decode(&next); {
		case errors.Is(err, io.EOF) && !scanned:
			return nil, errors.New("no program was scanned")
		case errors.Is(err, io.EOF):
			return actual, nil
		case err != nil:
			return nil, fmt.Errorf("decode: %w", err)
		}
		if next.SBOM != nil {
			module, scanned = strings.Join(next.SBOM.Roots, ","), true
		}
		if next.Finding == nil || len(next.Finding.Trace) == 0 {
			continue
		}
		key, reached := finding{module: module, vulnerability: next.Finding.OSV}, depthModule
		switch place := next.Finding.Trace[0]; {
		case place.Function != "":
			reached = depthSymbol
		case place.Package != "":
			reached = depthPackage
		}
		if slices.Index(depths, reached) > slices.Index(depths, actual[key]) {
			actual[key] = reached
		}
	}
}

// entries are the lines of the list: module, vulnerability, depth, and the reason why it remains. Lines with # are comments.
func entries(list io.Reader) (map[finding]depth, error) {
	accepted := map[finding]depth{}
	lines := bufio.NewScanner(list)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 4 || !slices.Contains(depths, depth(fields[2])) {
			return nil, fmt.Errorf("line %d, %q: write a module, a vulnerability, one of %v, and the reason why it remains", number, line, depths)
		}
		accepted[finding{module: fields[0], vulnerability: fields[1]}] = depth(fields[2])
	}
	return accepted, lines.Err()
}

// compare returns an error for each difference, in order.
func compare(actual, accepted map[finding]depth) []error {
	var differences []error
	for key, reached := range actual {
		switch listed, exists := accepted[key]; {
		case !exists:
			differences = append(differences, fmt.Errorf("%s (%s) is new: raise its module, or list it with a reason; see https://pkg.go.dev/vuln/%s",
				key, reached, key.vulnerability))
		case listed != reached:
			differences = append(differences, fmt.Errorf("%s is listed as %s, and found as %s: check the reason, and correct the entry", key, listed, reached))
		}
	}
	for key := range accepted {
		if _, exists := actual[key]; !exists {
			differences = append(differences, fmt.Errorf("%s is listed, and not found any more: remove the entry", key))
		}
	}
	slices.SortFunc(differences, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return differences
}
