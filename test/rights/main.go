// Command rights compares the rights that manifests grant with the rights that tests use. It prints a table of both, and
// fails for a right that is missing. It also fails for a right that the tests of a suite should have used, and did not.
//
// Start with compare.go. granted.go has the rights of manifests, and exceptions.go the known differences with their
// reasons. The requests come from the audit logs of local clusters: see requests.go in package audit.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/example/ksmscale/test/cluster/audit"
)

func main() {
	suites := flag.String("suites", integration+","+endToEnd, "the suites of which all tests have run, as a list with commas")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "Usage: rights [--suites=LIST] DIRECTORY...")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := check(os.Stdout, strings.Split(*suites, ","), flag.Args()...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// check compares the manifests of the current folder, which is the root of the checkout, with the requests in directories.
func check(output io.Writer, suites []string, directories ...string) error {
	files, err := filepath.Glob("config/rbac/*.yaml")
	if err != nil {
		return err
	}
	read, err := readManifests(append(files, "config/delegate/rbac.yaml", "deploy/rbac/object-counts.yaml")...)
	if err != nil {
		return err
	}
	var requests []audit.Request
	for _, directory := range directories {
		loaded, err := audit.LoadRequests(directory)
		if err != nil {
			return fmt.Errorf("%w: run the tests first, for example make integration", err)
		}
		requests = slices.Concat(requests, loaded)
	}
	c := compare(read.granted(), requests)
	if err := c.table(output, known, suites...); err != nil {
		return err
	}
	return errors.Join(c.problems(known, suites...)...)
}
